"""Launchers: `chosen` finds the one that settings name and where it works, `asking` calls what it returns."""
