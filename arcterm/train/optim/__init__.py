"""Optimizers, and the groups of parameters that they update alike.

Begin with `optimizers`; `groups` says what decays and what is frozen.
"""
