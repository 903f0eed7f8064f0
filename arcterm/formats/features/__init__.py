"""Files around MegaFace's features: matrix files, lists of images, lists of noise."""
