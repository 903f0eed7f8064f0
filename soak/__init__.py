"""A training under random faults: see `soak.run`."""
