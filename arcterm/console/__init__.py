"""The Textual console: screens and panels over run directories."""

import os

# Textual paints at its ticks, so that a key waits for the next one: 5 ms instead of its 17
os.environ.setdefault("TEXTUAL_FPS", "200")
