"""Embeddings of many pictures by one model or several, on disk, by all ranks together.

Begin with `matrix.extract`: pictures → a matrix.
"""
