"""Drawn people: the data sets that need no download. Begin with `pack`; `portrait` and `camera` draw."""
