"""Alignment: faces brought to where networks expect them."""
