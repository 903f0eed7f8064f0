"""Verification sets. Begin with `binfile`, which parses a ``.bin`` without unpickling it (`picklemachine`).

`protocols` reads lists of pairs and what else says which pairs a set has, `pairing` draws pairs, `usable`
looks at a set before a launch.
"""
