"""A report of runs as one page that needs nothing else; begin with `document`."""
