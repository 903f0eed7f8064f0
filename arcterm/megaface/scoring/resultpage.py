"""The page of a scoring: tables of rates, curves, and how to read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from arcterm_registry.contracts import Curve

from arcterm.formats.features.results import DevkitResult
from arcterm.megaface.scoring.passes import Score, VariantScores
from arcterm.megaface.scoring.report import (
    DISTRACTORS,
    FEW,
    PROTOCOL,
    as_devkit,
    is_noise,
    read_off,
    tar,
    title,
)
from arcterm.megaface.scoring.verification import FARS
from arcterm.pictures import curves, page
from arcterm.text import percent

_NOISE = "noise"
_GALLERY_HEADS = ("distractors", "rank-1", "rank-10", "rank-1, traditional", "removed", "missing")
_TAR_HEADS = ("FAR", "TAR", "threshold", "accepted", "FAR, exact", "TAR, nearest", "FAR, nearest", "")
_READ_HEADS = ("", "rank-1", "rank-10", f"TAR at FAR ≤ {FARS[0]:g}", "TAR at the first point beyond")


def page_of(
    heading: str,
    variants: Sequence[VariantScores],
    compared: Mapping[str, DevkitResult],
    drawn: Mapping[str, Curve],
) -> str:
    """Make the page of a scoring."""
    parts = [f"<h1>{page.text(heading)}</h1>"]
    for variant in variants:
        parts += _variant(variant)
    parts += ["<h2>Off the devkit's thinned curves</h2>", page.table(_read(variants, compared), _READ_HEADS)]
    parts += [curves.part(curve) for curve in drawn.values()]
    parts += ["<h2>How to read it</h2>", page.table(PROTOCOL.items())]
    return page.page(heading, parts)


def _variant(variant: VariantScores) -> Iterator[str]:
    yield f"<h2>{page.text(variant.name)}</h2>"
    yield page.table(map(_gallery_row, variant.scores), _GALLERY_HEADS)
    trials = variant.scores[-1].identification.cmc.trials
    missing = f" {variant.missing_probes:,} probes are missing." if variant.missing_probes else ""
    counts = f"{variant.probes:,} probes, {trials:,} trials; people: {variant.people:,}.{missing}"
    yield f'<p class="hint">{page.text(counts)}</p>'
    for score in variant.scores:
        if score.size == variant.scores[-1].size:
            yield from _verification(score)


def _gallery_row(score: Score) -> list[str]:
    found = score.identification
    rates = [found.cmc.rate(1), found.cmc.rate(10), found.traditional.rate(1)]
    return [title(score), *map(percent, rates), f"{score.removed:,}", f"{score.missing:,}"]


def _verification(score: Score) -> Iterator[str]:
    rows = []
    for one in score.verification.tar_at_far:
        least, near = one.at_most, one.nearest
        rates = [f"{least.threshold:.6f}", f"{least.impostors:,}", f"{least.far:.3g}"]
        nearest = [percent(near.tar), f"{near.far:.3g}", _NOISE if is_noise(score, one) else ""]
        rows.append([f"{one.asked:g}", tar(one), *rates, *nearest])
    yield page.table(rows, _TAR_HEADS, faint=lambda row: row[-1] == _NOISE)
    genuine, impostors = score.verification.genuine, score.verification.impostors
    counts = f"Among {title(score, DISTRACTORS)}: {genuine:,} genuine pairs, {impostors:,} impostor pairs."
    rule = f"Where fewer than {FEW} impostor pairs decide, a rate is mostly chance."
    yield f'<p class="hint">{page.text(counts)} {rule}</p>'


def _read(variants: Sequence[VariantScores], compared: Mapping[str, DevkitResult]) -> Iterator[list[str]]:
    """A row for the largest gallery of each variant, and for each other result."""
    for variant in variants:
        largest = variant.scores[-1]
        yield _read_row(f"{variant.name}, {title(largest, DISTRACTORS)}", as_devkit(largest))
    for name, result in compared.items():
        yield _read_row(name, result)


def _read_row(name: str, result: DevkitResult) -> list[str]:
    return [name, *map(percent, read_off(result).values())]
