"""InsightFace's scripts of 2018, by their own options; each says which command of ours that is."""
