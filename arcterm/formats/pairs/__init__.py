"""Verification sets. Begin with `binfile`, which parses a ``.bin`` without unpickling it (`picklemachine`).

`pairlists` reads lists of pairs, `pairing` draws pairs, `usable` looks at a set before a launch.
"""
