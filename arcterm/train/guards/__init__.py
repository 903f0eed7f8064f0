"""What watches over the numbers of a training: nothing but a number reaches a weight (`finite`)."""
