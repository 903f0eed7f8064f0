"""The forms that start something: begin at `draft` (texts and verdicts), then `screen` (what shows them)."""
