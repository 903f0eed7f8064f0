"""Where the processes of a run meet, on one host and on several."""
