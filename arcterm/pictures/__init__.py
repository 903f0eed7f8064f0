"""Drawing with characters: pixels to half blocks of colour."""
