"""A terminal console for training face-recognition models."""

import os

__version__ = "0.1.0"

# OpenCV reads it once, when it is first imported, and a plug-in may do that before we do: a 700-byte file may
# declare 65500 × 65500 pixels.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(36_000_000))
