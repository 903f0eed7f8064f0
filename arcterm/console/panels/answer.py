"""The foot of the launch form: the equivalent command, and whether it would start."""

from __future__ import annotations

from arcterm.console.draft import Draft, Verdict
from arcterm.console.lines import Line, heading, shorten, wrap
from arcterm.launch.preflight import duration

_COMMAND_LINES = 2


def answer(draft: Draft | None, verdict: Verdict | None, width: int, height: int) -> list[Line]:
    """Command, then problems or the plan; a plan that is still being made says so."""
    if draft is None:
        return [heading("command", width), [(" looking for plug-ins …", "dim")]]
    rows = wrap(draft.command(), width - 2)
    if len(rows) > _COMMAND_LINES:
        rows = [*rows[: _COMMAND_LINES - 1], shorten(" ".join(rows[_COMMAND_LINES - 1 :]), width - 2)]
    lines = [heading("command", width), *([(f" {row}", "accent")] for row in rows)]
    return [*lines, *_checks(draft, verdict, width, height - len(lines))][:height]


def _checks(draft: Draft, verdict: Verdict | None, width: int, room: int) -> list[Line]:
    problems = draft.problems()
    if not problems and verdict:
        problems = verdict.problems
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)} to solve before launch"
        rows = [row for key, text in problems.items() for row in _problem(key, text, width)]
        return [heading(count, width, role="bad"), *rows]
    if verdict is None or verdict.plan is None:
        return [heading("checking …", width), [(" the data set is looked at, the plan is made", "dim")]]
    plan = verdict.plan
    title = heading("ready: ^g or F5 launches", width, f"about {duration(plan.seconds)}", "good")
    warned: list[Line] = (
        [[(f" ! {row}", "warn")] for row in wrap(plan.warning, width - 4)] if plan.warning else []
    )
    trouble = [n for n in plan.notes if n.startswith("problem")]
    notes = [*trouble, *(n for n in plan.notes if n not in trouble)]
    return [title, *warned[: max(0, room - 2)], *([(shorten(f" {note}", width), "")] for note in notes)]


def _problem(key: str, text: str, width: int) -> list[Line]:
    name = key.replace("_", " ")
    lead = f"{name}: " if key and not text.startswith(key.rpartition(".")[2]) else ""
    return [
        [(f" {'!' if i == 0 else ' '} {row}", "bad")] for i, row in enumerate(wrap(lead + text, width - 4))
    ]
