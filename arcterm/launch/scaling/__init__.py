"""What a training takes on N hosts, from constants measured on one; begin with `forecast.forecast`."""
