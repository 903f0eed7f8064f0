"""Model files in and out: other trainers' weights, ours, and what runs elsewhere."""
