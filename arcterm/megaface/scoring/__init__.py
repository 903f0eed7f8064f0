"""``arcterm megaface score``: identification and verification of features, exactly.

Begin with `job`, then `passes`: one pass over the distractors, from which all numbers are taken.
"""
