"""InsightFace's scripts of 2018 by their own options: each says which command of ours it is, and starts it."""
