"""The exact 1:N engine: a gallery is read once, in float32; what decides is decided on canonical scores.

Begin with `exact`: what a score is, and how far a float32 matrix product may be from it. Then `stream`, one
pass over a gallery of any size; `counting`, for galleries in memory; `openset`, the rule by which a probe is
accepted.
"""
