"""The launch form beside its fields: the list of sections, the difference, the whole plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from arcterm.console.forms import sections
from arcterm.console.forms.draft import ChangedField, Verdict
from arcterm.console.panels.answer import needs
from arcterm.show.lines import Line, heading, pad, wrap
from arcterm.text import clean

_LEAD = 10  # cells of the word that a line of a plan begins with


def section_list(
    titles: Sequence[str],
    current: str,
    problems: Mapping[str, str],
    changed: Sequence[ChangedField],
    width: int,
) -> list[Line]:
    """Every page, with a sign and the number of its problems or of its changes."""
    wrong = Counter(sections.section_of(key, titles) for key in problems)
    other = Counter(sections.section_of(each.key, titles) for each in changed)
    lines: list[Line] = []
    for title in titles:
        if wrong[title]:
            count, role = f"!{wrong[title]}", "bad"
        elif title == sections.REVIEW:
            count, role = (f"•{len(changed)}" if changed else ""), "accent"
        else:
            count, role = (f"•{other[title]}" if other[title] else ""), "accent"
        here = title == current
        name = pad(f"{'▸' if here else ' '} {title}", width - 4)
        lines.append([(name, "cursor" if here else ""), (pad(count, 3, right=True), role), (" ", "")])
    return lines


def review(
    began: str,
    changed: Sequence[ChangedField],
    problems: Mapping[str, str],
    verdict: Verdict | None,
    width: int,
) -> list[Line]:
    """The difference to where the form began, then the whole plan, in as many lines as it takes."""
    return [*difference(began, changed, width), [], *_plan(problems, verdict, width)]


def difference(began: str, changed: Sequence[ChangedField], width: int) -> list[Line]:
    """Each field that says something else than what the form began with: before → now."""
    title = heading(f"difference to {clean(began)}", width, f"{len(changed)}" if changed else "none")
    lines: list[Line] = [title]
    for key, before, now in changed:
        name = pad(key.replace("_", " "), 20)
        old, new = clean(before) or "–", clean(now) or "–"
        lines.append([(f" • {name} ", "accent"), (old, "dim"), (" → ", "dim"), (new, "bold")])
    return lines


def resumption(verdict: Verdict | None, width: int) -> list[Line]:
    """What a resume changes, and what is wrong with its checkpoints."""
    begun = verdict.begun if verdict else None
    if begun is None:
        return [heading("resume", width), [(" it is being checked, or a problem is to be solved", "dim")]]
    lines: list[Line] = [heading("resume", width, f"from step {begun.step:,}")]
    lines += [[(f" ! {row}", "warn")] for each in begun.warnings for row in wrap(clean(each), width - 4)]
    for each in begun.lines:
        rows = wrap(clean(each[_LEAD:]), width - _LEAD - 2)
        for index, row in enumerate(rows):
            lines.append([(f" {each[:_LEAD] if index == 0 else ' ' * _LEAD}", "dim"), (row, "")])
    return lines


def _plan(problems: Mapping[str, str], verdict: Verdict | None, width: int) -> list[Line]:
    if verdict is None or verdict.plan is None:
        words = "there is no plan while a problem is to be solved" if problems else "the plan is being made …"
        return [heading("plan", width), [(f" {words}", "dim")]]
    plan = verdict.plan
    lines: list[Line] = [heading("plan", width, needs(plan))]
    lines += [[(f" ! {row}", "warn")] for row in wrap(clean(plan.warning), width - 4) if plan.warning]
    for note in plan.notes:
        lead, text = note[:_LEAD], clean(note[_LEAD:])
        role = "bad" if lead.startswith("problem") else "warn" if lead.startswith("note") else ""
        for index, row in enumerate(wrap(text, width - _LEAD - 2)):
            lines.append([(f" {lead if index == 0 else ' ' * _LEAD}", "dim"), (row, role)])
    return lines
