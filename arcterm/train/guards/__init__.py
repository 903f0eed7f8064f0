"""What watches over a training: its data is what it was (`data`), only numbers reach a weight (`finite`)."""
