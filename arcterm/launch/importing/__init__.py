"""From logs of other programs to runs; begin with `logs`."""
