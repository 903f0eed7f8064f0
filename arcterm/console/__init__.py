"""The Textual console: screens and panels over run directories."""
