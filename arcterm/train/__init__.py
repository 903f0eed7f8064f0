"""Training: what the ranks do."""
