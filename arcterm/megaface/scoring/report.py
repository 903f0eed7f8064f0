"""What is reported of a scoring: numbers for a script, lines for a person, curves, a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from arcterm_registry.contracts import Curve

from arcterm.formats.features.results import DevkitResult
from arcterm.megaface.scoring.identification import RANKS, Cmc
from arcterm.megaface.scoring.passes import Score, VariantScores
from arcterm.megaface.scoring.verification import FARS
from arcterm.pictures import curves, page

PROTOCOL = {
    "score": "dot product of normalised features, computed to the bit the same for any order of the data",
    "identification": "for every ordered pair of a person's probes, one is searched for among the other and "
    "the distractors; an equal distractor counts against the probe",
    "traditional": "the same, with the first image of each other person in the gallery too",
    "verification": "genuine: all pairs of a person's probes; impostors: all pairs of a probe and a "
    "distractor; accepted strictly above the threshold; at_most: the largest FAR of no more than the asked "
    "one, exactly; nearest: the attainable FAR that is nearest",
    "noise": "a removed distractor stays in the gallery as one that nothing is near: ahead of no mate, and "
    "its pairs count among the impostors, accepted at no threshold",
    "devkit": "the TAR at FAR 1e-6 read off the thinned curve: last is the last point at no more than that "
    "FAR, first is the first point beyond",
}

_SHOWN = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
_FEW = 30  # impostor pairs, of which fewer make a rate that is noise
_FAR = 1e-6


def as_devkit(score: Score) -> DevkitResult:
    """The curves as the devkit writes them."""
    found = score.identification
    return DevkitResult(
        cmc=found.cmc.staircase(),
        roc=score.verification.staircase,
        traditional_cmc=found.traditional.staircase(),
    )


def record(scores: VariantScores) -> dict[str, Any]:
    """The numbers of a variant for a script."""
    return {
        "probes": scores.probes,
        "people": scores.people,
        "missing_probes": scores.missing_probes,
        "galleries": [_record(score) for score in scores.scores],
    }


def _record(score: Score) -> dict[str, Any]:
    found, verification = score.identification, score.verification
    return {
        "size": score.size,
        "set": score.set_number,
        "distractors": score.distractors,
        "missing": score.missing,
        "removed": score.removed,
        "trials": found.cmc.trials,
        "identification": _rates(found.cmc),
        "traditional": _rates(found.traditional),
        "genuine": verification.genuine,
        "impostors": verification.impostors,
        "verification": msgspec.to_builtins(verification.tar_at_far),
        "roc": msgspec.to_builtins(verification.roc),
        "devkit": read_off(as_devkit(score)),
    }


def _rates(cmc: Cmc) -> dict[str, float]:
    return {f"rank_{rank}": cmc.rate(rank) for rank in _SHOWN if rank <= cmc.gallery}


def cmcs(scores: VariantScores) -> list[dict[str, Any]]:
    """How many trials are won at each rank, in each gallery."""
    return [
        {
            "size": score.size,
            "set": score.set_number,
            "trials": score.identification.cmc.trials,
            "won": score.identification.cmc.won,
            "traditional_won": score.identification.traditional.won,
        }
        for score in scores.scores
    ]


def read_off(result: DevkitResult) -> dict[str, float | None]:
    """The numbers that are read off a result of the devkit."""
    return {
        "rank_1": result.recall(1),
        "rank_10": result.recall(10),
        "tar_last": result.tar_below(_FAR),
        "tar_first": result.tar_beyond(_FAR),
    }


def lines_of(variants: Sequence[VariantScores], compared: dict[str, DevkitResult]) -> list[str]:
    """The result for a person."""
    return [
        *(line for variant in variants for line in _variant_lines(variant)),
        *(_compared_line(name, result) for name, result in compared.items()),
    ]


def _variant_lines(variant: VariantScores) -> Iterator[str]:
    missing = f", {variant.missing_probes:,} missing" if variant.missing_probes else ""
    yield f"{variant.name}: {variant.probes:,} probes of {variant.people:,} people{missing}"
    for score in variant.scores:
        found = score.identification
        yield (
            f"  {_title(score)}: rank-1 {_percent(found.cmc.rate(1))}, rank-10 {_percent(found.cmc.rate(10))}"
            f"  (with other people's images {_percent(found.traditional.rate(1))})"
            f"  TAR {_percent(score.verification.tar_at_far[0].at_most.tar)} at FAR {_FAR:g}"
            f"{_noise(score, 0)}{_counts(score)}"
        )
    if variant.scores:
        yield from _tar_lines(variant.scores[-1])


def _tar_lines(score: Score) -> Iterator[str]:
    for number, one in enumerate(score.verification.tar_at_far):
        least, near = one.at_most, one.nearest
        yield (
            f"    FAR ≤ {one.asked:g}: TAR {_percent(least.tar)} above {least.threshold:.6f}, "
            f"{least.impostors:,} of {score.verification.impostors:,} accepted;  nearest: "
            f"{_percent(near.tar)} at FAR {near.far:.3g}{_noise(score, number)}"
        )
    read = read_off(as_devkit(score))
    yield (
        f"    off the devkit's thinned curve: {_percent(read['tar_last'])} at the last point of FAR ≤ "
        f"{_FAR:g}, {_percent(read['tar_first'])} at the first beyond"
    )


def _noise(score: Score, number: int) -> str:
    one = score.verification.tar_at_far[number]
    if not one.resolved:
        return "  (below one impostor pair of all: unresolved)"
    few = int(score.verification.impostors * one.asked) < _FEW
    return f"  (noise: fewer than {_FEW} impostor pairs decide)" if few else ""


def _counts(score: Score) -> str:
    parts = [f"{score.removed:,} removed"] if score.removed else []
    parts += [f"{score.missing:,} missing"] if score.missing else []
    return f"  ({', '.join(parts)})" if parts else ""


def _compared_line(name: str, result: DevkitResult) -> str:
    read = read_off(result)
    return (
        f"{name}: rank-1 {_percent(read['rank_1'])}, rank-10 {_percent(read['rank_10'])}, off its thinned "
        f"curve TAR {_percent(read['tar_last'])} at the last point of FAR ≤ {_FAR:g}, "
        f"{_percent(read['tar_first'])} at the first beyond"
    )


def curves_of(variants: Sequence[VariantScores], compared: dict[str, DevkitResult]) -> dict[str, Curve]:
    """CMC and ROC of the largest galleries, and rank-1 by size, by the names of their files."""
    ends = {
        f"{variant.name}, {_title(score)}": score
        for variant in variants
        for score in variant.scores
        if score.size == max(each.size for each in variant.scores)
    }
    cmc = {
        name: [(float(rank), score.identification.cmc.rate(rank)) for rank in range(1, RANKS + 1)]
        for name, score in ends.items()
    }
    roc = {name: [(at.far, at.tar) for at in score.verification.roc] for name, score in ends.items()}
    for name, result in compared.items():
        cmc[name] = [(x + 1, y) for x, y in zip(*result.cmc, strict=True) if x < RANKS]
        roc[name] = [(x, y) for x, y in zip(*result.roc, strict=True) if x <= max(FARS)]
    sizes = {
        f"{variant.name}, set {number}": sorted(
            (float(score.size), score.identification.cmc.rate(1))
            for score in variant.scores
            if score.set_number == number
        )
        for variant in variants
        for number in sorted({score.set_number for score in variant.scores})
    }
    return {
        "cmc": Curve(title="MegaFace: identification", x="rank", y="share of trials", lines=cmc, log_x=True),
        "roc": Curve(
            title="MegaFace: verification", x="false-accept rate", y="true-accept rate", lines=roc, log_x=True
        ),
        "sizes": Curve(
            title="MegaFace: rank-1", x="distractors", y="share of trials", lines=sizes, log_x=True
        ),
    }


def page_of(
    title: str, lines: Sequence[str], drawn: dict[str, Curve], variants: Sequence[VariantScores]
) -> str:
    """The result as a page."""
    heads = ["", "rank-1", "rank-10", "rank-1, traditional", *(f"TAR at FAR {far:g}" for far in FARS)]
    parts = [f"<h1>{page.text(title)}</h1>"]
    for variant in variants:
        parts += [f"<h2>{page.text(variant.name)}</h2>", page.table(map(_row, variant.scores), heads)]
    parts += [curves.part(curve) for curve in drawn.values()]
    parts += [f"<p>{page.text(line)}</p>" for line in lines]
    parts += [page.table(PROTOCOL.items())]
    return page.page(title, parts)


def _row(score: Score) -> list[str]:
    found = score.identification
    rates = [found.cmc.rate(1), found.cmc.rate(10), found.traditional.rate(1)]
    tars = [
        _percent(one.at_most.tar) if one.resolved else "unresolved" for one in score.verification.tar_at_far
    ]
    return [_title(score), *map(_percent, rates), *tars]


def _title(score: Score) -> str:
    return f"{score.size:,} distractors" + (f", set {score.set_number}" if score.set_number != 1 else "")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"
