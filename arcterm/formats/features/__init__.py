"""What goes with features of MegaFace: matrix files, lists of images, lists of noise."""
