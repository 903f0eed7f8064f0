"""Embeddings of many pictures by one model or several, on disk, by all ranks together.

Begin with `extract`: pictures → a matrix.
"""
