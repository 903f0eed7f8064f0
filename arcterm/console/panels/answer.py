"""The foot of a form: the equivalent command, and whether it can start."""

from __future__ import annotations

from rich.cells import cell_len

from arcterm.config import PATH_FIELD, PLACE_FIELD
from arcterm.console.forms.draft import FormDraft, Verdict
from arcterm.console.forms.fixes import Fix
from arcterm.launch.estimate.verdict import gib
from arcterm.launch.plan import Plan
from arcterm.show.lines import Line, heading, shorten, wrap
from arcterm.text import clean, duration

_CHECK_LINES = 5


def answer(
    draft: FormDraft | None, verdict: Verdict | None, width: int, height: int, planned: bool = True
) -> list[Line]:
    """Command, then problems or the plan, or that the check is under way.

    Where the plan stands elsewhere it is not `planned` here: that it is ready is enough.
    """
    if draft is None:
        return [
            heading("command", width),
            [(" looking for plug-ins; one that hangs is waited for 10 s at most …", "dim")],
        ]
    lines = command_lines(draft.command(), width, max(2, height - _CHECK_LINES))
    return [*lines, *_checks(draft, verdict, width, height - len(lines) if planned else 0)][:height]


def command_lines(command: str, width: int, room: int) -> list[Line]:
    """A heading, and a command in at most `room` rows."""
    rows = wrap(command, width - 2)
    if len(rows) > room:
        rows = [*rows[: room - 1], shorten(" ".join(rows[room - 1 :]), width - 2)]
    return [heading("command", width), *([(f" {row}", "accent")] for row in rows)]


def help_lines(
    draft: FormDraft, key: str, problem: str, fix: Fix | None, width: int, height: int
) -> list[Line]:
    """What is to be known of one field: its problem and the change that solves it, else its help."""
    if problem:
        rows, role = _with_cure(wrap(f"! {problem}", width - 2), fix, width - 2), "bad"
    else:
        entry = draft.fields().get(key)
        usual = f"  [{entry.placeholder}]" if entry and entry.placeholder else ""
        rows, role = wrap(f"{_name(key)}: {clean(draft.note(key))}{usual}", width - 2), ""
    if len(rows) > height:
        rows = [*rows[: height - 1], shorten(" ".join(rows[height - 1 :]), width - 2)]
    return [[(f" {row}", role)] for row in rows]


def _name(key: str) -> str:
    """What a field is called; an option of a plug-in has that one's kind before it."""
    return key.removeprefix(PATH_FIELD).removeprefix(PLACE_FIELD).replace("_", " ")


def _checks(draft: FormDraft, verdict: Verdict | None, width: int, room: int) -> list[Line]:
    problems = draft.problems()
    if not problems and verdict:
        problems = verdict.problems
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)} to solve before launch"
        found = draft.fixes(verdict)
        rows = [row for key, text in problems.items() for row in _problem(key, text, width, found.get(key))]
        return [heading(count, width, role="bad"), *rows]
    if verdict is not None and verdict.plan is not None:
        return _plan(verdict.plan, width, room)
    if verdict is not None and verdict.begun is not None:
        begun = verdict.begun
        said = [*(f" ! {each}" for each in begun.warnings), *(f" {each}" for each in begun.lines)]
        said = said or [f" it goes on from step {begun.step:,}, and nothing changes"]
        title = heading("ready: ^g or F5 goes on", width, role="good")
        return [title, *([(shorten(clean(row), width), "")] for row in said)]
    if verdict is not None and verdict.job is not None:
        goes_on = " it runs by itself: closing the console leaves it running"
        return [heading("ready: ^g or F5 starts it", width, role="good"), [(shorten(goes_on, width), "dim")]]
    return [heading("checking …", width), [(" the data is looked at, the plan is made", "dim")]]


def _plan(plan: Plan, width: int, room: int) -> list[Line]:
    title = heading("ready: ^g or F5 launches", width, needs(plan), "good")
    return [title, *plan_lines(plan, width, room - 1)] if room else [title]


def needs(plan: Plan) -> str:
    """``about 3 h, 1.2 GiB of 15 a rank``: the time and memory of a training, as far as they are known."""
    found = plan.estimate
    memory = ""
    if found.need is not None and not found.exact and found.free and found.need.total > found.free:
        memory = f", perhaps more than the {gib(found.free)} GiB free: ^t looks closer"
    elif found.need is not None:
        least = "" if found.exact else "at most "
        of = "" if found.free is None else f" of {gib(found.free)}"
        memory = f", {least}{gib(found.need.total)}{of} GiB a rank"
    return f"about {duration(plan.seconds)}{memory}"


def plan_lines(plan: Plan, width: int, room: int) -> list[Line]:
    """The lines of a plan, what it warns of first."""
    warned: list[Line] = (
        [[(f" ! {row}", "warn")] for row in wrap(plan.warning, width - 4)] if plan.warning else []
    )
    trouble = [n for n in plan.notes if n.startswith("problem")]
    notes = [*trouble, *(n for n in plan.notes if n not in trouble)]
    return [*warned[: max(0, room - 1)], *([(shorten(f" {note}", width), "")] for note in notes)]


def _problem(key: str, text: str, width: int, fix: Fix | None) -> list[Line]:
    name = _name(key)
    lead = f"{name}: " if key and not text.startswith(key.rpartition(".")[2]) else ""
    rows = _with_cure(wrap(lead + text, width - 4), fix, width - 4)
    return [[(f" {'!' if i == 0 else ' '} {row}", "bad")] for i, row in enumerate(rows)]


def _with_cure(rows: list[str], fix: Fix | None, width: int) -> list[str]:
    """The rows of a problem, and the change that solves it, which is not broken where it fits into a row."""
    if fix is None:
        return rows
    cure = f"→ ^f: {fix.words}"
    joined = f"{rows[-1]}  {cure}"
    return [*rows[:-1], joined] if cell_len(joined) <= width else [*rows, *wrap(cure, width)]
