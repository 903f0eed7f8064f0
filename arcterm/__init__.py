"""A terminal console for training face-recognition models."""

__version__ = "0.1.0"
