"""The foot of a form: the equivalent command, and whether it can start."""

from __future__ import annotations

from arcterm.config import PATH_FIELD
from arcterm.console.forms.draft import FormDraft, Verdict
from arcterm.launch.plan import Plan
from arcterm.show.lines import Line, heading, shorten, wrap
from arcterm.text import duration

_CHECK_LINES = 5


def answer(draft: FormDraft | None, verdict: Verdict | None, width: int, height: int) -> list[Line]:
    """Command, then problems or the plan, or that the check is under way."""
    if draft is None:
        return [heading("command", width), [(" looking for plug-ins …", "dim")]]
    lines = command_lines(draft.command(), width, max(2, height - _CHECK_LINES))
    return [*lines, *_checks(draft, verdict, width, height - len(lines))][:height]


def command_lines(command: str, width: int, room: int) -> list[Line]:
    """A heading, and a command in at most `room` rows."""
    rows = wrap(command, width - 2)
    if len(rows) > room:
        rows = [*rows[: room - 1], shorten(" ".join(rows[room - 1 :]), width - 2)]
    return [heading("command", width), *([(f" {row}", "accent")] for row in rows)]


def _checks(draft: FormDraft, verdict: Verdict | None, width: int, room: int) -> list[Line]:
    problems = draft.problems()
    if not problems and verdict:
        problems = verdict.problems
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)} to solve before launch"
        rows = [row for key, text in problems.items() for row in _problem(key, text, width)]
        return [heading(count, width, role="bad"), *rows]
    if verdict is not None and verdict.plan is not None:
        return _plan(verdict.plan, width, room)
    if verdict is not None and verdict.job is not None:
        goes_on = " it runs by itself: closing the console leaves it running"
        return [heading("ready: ^g or F5 starts it", width, role="good"), [(shorten(goes_on, width), "dim")]]
    return [heading("checking …", width), [(" the data is looked at, the plan is made", "dim")]]


def _plan(plan: Plan, width: int, room: int) -> list[Line]:
    title = heading("ready: ^g or F5 launches", width, f"about {duration(plan.seconds)}", "good")
    warned: list[Line] = (
        [[(f" ! {row}", "warn")] for row in wrap(plan.warning, width - 4)] if plan.warning else []
    )
    trouble = [n for n in plan.notes if n.startswith("problem")]
    notes = [*trouble, *(n for n in plan.notes if n not in trouble)]
    return [title, *warned[: max(0, room - 2)], *([(shorten(f" {note}", width), "")] for note in notes)]


def _problem(key: str, text: str, width: int) -> list[Line]:
    name = key.removeprefix(PATH_FIELD).replace("_", " ")
    lead = f"{name}: " if key and not text.startswith(key.rpartition(".")[2]) else ""
    return [
        [(f" {'!' if i == 0 else ' '} {row}", "bad")] for i, row in enumerate(wrap(lead + text, width - 4))
    ]
