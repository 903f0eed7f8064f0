"""Time in a training: what follows from the number of a step alone. Begin with `rate`."""
