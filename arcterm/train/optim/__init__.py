"""Optimizers, the groups of parameters that they update alike, and an average of the weights they make.

Begin with `optimizers`; `groups` says what decays and what is frozen.
"""
