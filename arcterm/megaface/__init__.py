"""MegaFace: features of FaceScrub and MegaFace, in two layouts, exported, cleaned and scored.

Begin with `store`, how features lie on disk.
"""
