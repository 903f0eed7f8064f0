"""Panels: functions from a run's view, a width and a height to lines. No Textual."""
