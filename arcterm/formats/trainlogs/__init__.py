"""Logs of other programs as events of runs; begin with `logged`, then `textlog`, `parts`, `numbering`."""
