"""The start of a working process."""
