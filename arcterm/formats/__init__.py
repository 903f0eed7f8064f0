"""Files of the field: bytes to numpy and back, without torch."""
