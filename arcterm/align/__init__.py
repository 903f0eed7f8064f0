"""Bringing faces into the place where networks expect them."""
