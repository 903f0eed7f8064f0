"""Drawing: pixels to half blocks of colour in a terminal, and sheets of pictures as an image."""
