"""The run directory: the only thing that those who run a training and those who watch it share."""
