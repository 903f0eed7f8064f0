"""A data set in lines: its facts, images per person, verification sets, findings of its check."""

from __future__ import annotations

import time
from pathlib import Path

from rich.cells import cell_len

from arcterm.inputs.datafacts import CheckedFinding, CheckedKind, DataFacts, check_command
from arcterm.inputs.known import KnownSource
from arcterm.show.lines import Line, Piece, heading, pad, shorten, spread, tail, wrap
from arcterm.show.words import DASH, ago, short
from arcterm.text import clean

_BARS = "▏▎▍▌▋▊▉█"


def overview(facts: DataFacts, width: int) -> list[Line]:
    """Counts, the image size, and how they are known."""
    unreadable = f"{facts.unreadable:,} can't be read" if facts.unreadable else ""
    counts = [
        f"{facts.images:,} images",
        f"{facts.classes:,} people" if facts.classes else "",
        f"{len(facts.sets)} verification set{'s' * (len(facts.sets) != 1)}",
        facts.image_size,
    ]
    items: list[Line | Piece] = [(text, "bold" if n < 2 else "") for n, text in enumerate(counts) if text]
    if unreadable:
        items.insert(1, (unreadable, "warn"))
    how = {"reading": "read", "check": "checked", "training": "as a training recorded it"}[facts.by]
    when = f" {ago(time.time() - facts.time)} ago" if facts.time else ""
    return [spread(items, [(how + when, "dim")], width)]


def histogram(facts: DataFacts, width: int, height: int) -> list[Line]:
    """Images per person: how many people have so many images."""
    census = facts.census
    lines = [heading("images per person", width)]
    if census is None:
        hint = "enter reads the data set" if facts.by == "training" else "no people in it"
        return [*lines, [(f" {hint}", "dim")]][:height]
    most = max((people for _, _, people in census.histogram), default=1)
    spans = [
        (str(low) if low == high else f"{low:,}–{high:,}", people) for low, high, people in census.histogram
    ]
    name = max((cell_len(text) for text, _ in spans), default=1)
    number = max((len(f"{people:,}") for _, people in spans), default=1)
    room = max(4, width - name - number - 5)
    for text, people in spans[: max(1, height - 2)]:
        drawn = block_bar(people / most, room)
        lines.append(
            [
                (f" {pad(text, name, right=True)} ", ""),
                (drawn.ljust(room), "s1"),
                (f" {people:>{number},}", ""),
            ]
        )
    words = f" least {census.least:,}  median {census.median:g}  mean {census.mean:.1f}  most {census.most:,}"
    return [*lines, [(shorten(words, width), "dim")]][:height]


def block_bar(share: float, width: int) -> str:
    """A bar in eighths of a cell; what is not nothing shows."""
    eighths = max(1 if share > 0 else 0, round(share * width * 8))
    return "█" * (eighths // 8) + (_BARS[eighths % 8 - 1] if eighths % 8 else "")


def sets(facts: DataFacts, width: int, height: int) -> list[Line]:
    """The verification sets: pairs, the share of same ones, and what is wrong."""
    lines = [heading("verification sets", width)]
    if not facts.sets:
        return [*lines, [(" none; `arcterm data bin SRC DST` makes one", "dim")]][:height]
    name = min(24, max(cell_len(clean(each.name)) for each in facts.sets))
    for each in facts.sets:
        share = DASH if each.same is None else f"{each.same / each.pairs:.0%} same" if each.pairs else DASH
        wrong = each.problem or (f"{each.damaged:,} damaged" if each.damaged else "")
        role = "warn" if wrong else ""
        start = f" {pad(clean(each.name), name)} {each.pairs:>6,} pairs {share:>8} "
        lines.append(
            [(shorten(start, width), ""), (shorten(clean(wrong), max(0, width - cell_len(start))), role)]
        )
    if len(lines) > height:
        lines = [*lines[: height - 1], [(f" … {len(lines) - height + 1} more", "dim")]]
    return lines[:height]


def named_findings(facts: DataFacts) -> list[tuple[str, CheckedKind, CheckedFinding]]:
    """Every finding with a name, problems before notes: (kind, of it, finding)."""
    kinds = sorted((facts.findings or {}).items(), key=lambda item: not item[1].problem)
    return [(name, kind, finding) for name, kind in kinds for finding in kind.named]


def findings(facts: DataFacts, cursor: int, width: int, height: int) -> list[Line]:
    """The findings around the `cursor` (-1: none), below a line that counts them."""
    if facts.findings is None:
        hint = f" not checked: c checks it, or `{check_command(facts.source)}`"
        if "/" not in facts.source:
            hint = " not checked: that is for files, and this one comes with a package"
        return [heading("findings", width), [(shorten(clean(hint), width), "dim")]][:height]
    named = named_findings(facts)
    problems = facts.problem_count
    counted = f"{short(problems)} problem{'s' * (problems != 1)}" if problems else "no problems"
    notes = sum(kind.count for kind in facts.findings.values() if not kind.problem)
    more = f", {short(notes)} note{'s' * (notes != 1)}" if notes else ""
    role = "warn" if problems else "good"
    place = f"{cursor + 1} of {len(named)}" if 0 <= cursor < len(named) else ""
    lines = [heading(f"findings: {counted}{more}", width, place, role)]
    room = max(1, height - 1)
    first = max(0, min(cursor - room // 2, len(named) - room))
    for number, (_, kind, finding) in enumerate(named[first : first + room], first):
        sign = "!" if kind.problem else "i"
        text = shorten(f" {sign} {clean(finding.text)}", width - 3 * bool(finding.faces))
        face = " ● " if finding.faces else ""
        line: Line = [(text, "warn" if kind.problem else ""), (face, "accent")]
        lines.append([(pad(text + face, width), "cursor")] if number == cursor else line)
    return lines[:height]


def finding_detail(kind: CheckedKind, finding: CheckedFinding, width: int) -> list[Line]:
    """A finding in full: its kind, text and hint."""
    title = f"{kind.title or 'finding'}: {kind.count:,}"
    lines: list[Line] = [[(row, "bold")] for row in wrap(clean(title), width)]
    lines += [[(row, "")] for row in wrap(clean(finding.text), width)]
    if finding.hint:
        lines += [[(row, "accent")] for row in wrap(f"→ {clean(finding.hint)}", width)]
    return lines


def sources(known: list[KnownSource], cursor: int, width: int, height: int, first: int) -> list[Line]:
    """A heading and the known data sets around the cursor: path or name, counts, checks, how it is known."""
    longest = max((cell_len(_tail(each.source, 48)) for each in known), default=0)
    name = max(14, min(longest, 48, width - 62))
    head = f"  {pad('data set', name)} {'images':>9} {'people':>8}  {pad('check', 12)} {'known by'}"
    lines: list[Line] = [[(shorten(head, width), "dim")]]
    for number, each in enumerate(known[first : first + height - 1], first):
        facts = each.facts
        images = short(facts.images) if facts else DASH
        people = short(facts.classes) if facts and facts.classes else DASH
        checked, role = _checked(facts)
        cells: Line = [
            ("▸ " if number == cursor else "  ", ""),
            (pad(_tail(each.source, name), name), "bold" if each.there else "dim"),
            (f" {images:>9} {people:>8}  ", ""),
            (pad(checked, 12) + " ", role),
        ]
        used = sum(cell_len(text) for text, _ in cells)
        cells.append((shorten(clean(each.words), max(0, width - used)), "dim" if each.there else "warn"))
        line = "".join(text for text, _ in cells)
        lines.append([(pad(line, width), "cursor")] if number == cursor else cells)
    return lines[:height]


def _checked(facts: DataFacts | None) -> tuple[str, str]:
    if facts is None or facts.findings is None:
        return DASH, "dim"
    count = facts.problem_count
    return (f"! {short(count)} problem{'s' * (count != 1)}", "warn") if count else ("✓ good", "good")


def _tail(source: str, width: int) -> str:
    """The end of a path, from the home directory on."""
    text = clean(source)
    if source.startswith("/"):
        home = str(Path.home())
        text = f"~{text.removeprefix(home)}" if text.startswith(f"{home}/") else text
    return tail(text, width)
