"""Verification results: the table of sets."""

from __future__ import annotations

from rich.cells import cell_len

from arcterm.console.view import View
from arcterm.show.lines import Line, fit, heading, pad
from arcterm.show.words import DASH, SET_MARKS, percent


def sign(index: int) -> tuple[str, str]:
    """The mark of set `index` in its colour, as charts draw it."""
    return (f"{SET_MARKS[index]} ", f"s{1 + index}") if index < len(SET_MARKS) else ("  ", "")


def table(view: View, width: int, height: int) -> list[Line]:
    """A line per set: the last accuracy, its spread over the folds, the best and its step, TAR."""
    results = view.summary.verification
    if not results:
        expected = view.record.dataset.verification if view.record.dataset else {}
        waiting = f"first at step {view.config.verify_every:,}" if expected else "the data has no sets"
        return [heading("verification", width), [(f" {waiting}", "dim")]]
    steps = max(v[-1].step for v in results.values())
    lines = [heading("verification %", width, f"step {steps:,}")]
    name_width = max(8, min(14, max(map(cell_len, results))))
    columns = [("last", 6), ("±", 5), ("best", 6), ("at step", 9), ("TAR@1e-3", 9)]
    while len(columns) > 1 and name_width + sum(w + 1 for _, w in columns) + 2 > width:
        columns.pop(1 if len(columns) == 5 else -1)
    shown = dict(columns)
    lines.append(
        [("  " + pad("set", name_width), "dim"), *((" " + pad(c, w, True), "dim") for c, w in columns)]
    )
    for index, (name, runs) in enumerate(results.items()):
        last, best = runs[-1], view.summary.best(name)
        values = {
            "last": percent(last.accuracy),
            "±": percent(last.std),
            "best": percent(best.accuracy if best else None),
            "at step": f"{best.step:,}" if best else DASH,
            "TAR@1e-3": percent(last.tar),
        }
        style = "good" if best and best.step == last.step else ""
        lines.append(
            [
                sign(index),
                (pad(name, name_width), ""),
                *((" " + pad(values[c], w, True), style if c == "best" else "") for c, w in shown.items()),
            ]
        )
    return fit(lines, height)
