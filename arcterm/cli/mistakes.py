"""Messages for a command line that can't be understood."""

from __future__ import annotations

import io
from typing import Any


def explained(error: Any) -> list[str]:
    """Lines for the error; for an option that doesn't exist with similar ones."""
    text = io.StringIO()
    error.show(file=text)
    lines = text.getvalue().rstrip("\n").split("\n")
    option = getattr(error, "option_name", "")
    context = error.ctx
    if type(error).__name__ == "NoSuchOption" and context is not None and context.info_name == "train":
        from arcterm.neighbours import near, way

        meant = " or ".join(map(way, near(option.lstrip("-"))))
        lines.append(f"  → did you mean {meant}?" if meant else "  → --set KEY=VALUE takes any setting")
    return lines
