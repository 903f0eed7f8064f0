"""From what a person writes to what is meant: a data set, verification sets, a model, its preprocessing."""
