"""Models evaluated by published protocols, and people identified by them.

Begin with `identify`, the simplest.
"""
