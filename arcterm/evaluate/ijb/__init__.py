"""IJB-B and IJB-C: from files to templates, and their verification and identification.

Begin with `job`.
"""
