"""The report of a scoring: numbers for a script, lines for a person, curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from arcterm_registry.contracts import Curve

from arcterm.formats.features.results import DevkitResult
from arcterm.megaface.scoring.identification import RANKS, Cmc
from arcterm.megaface.scoring.passes import Score, VariantScores
from arcterm.megaface.scoring.verification import FARS
from arcterm.text import percent
from arcterm.verify.rates import TarAtFar

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
FEW = 30
"""Impostor pairs of which fewer make a rate that is mostly chance."""
_FAR = 1e-6
DISTRACTORS = " distractors"


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
        *(line for name, result in compared.items() for line in _compared_lines(name, result)),
    ]


def _variant_lines(variant: VariantScores) -> Iterator[str]:
    missing = f", {variant.missing_probes:,} missing" if variant.missing_probes else ""
    people = "person" if variant.people == 1 else "people"
    yield f"{variant.name}: {variant.probes:,} probes of {variant.people:,} {people}{missing}"
    yield f"  {'distractors':>16}{'rank-1':>10}{'rank-10':>10}{'traditional':>13}{f'TAR at {_FAR:g}':>14}"
    for score in variant.scores:
        found = score.identification
        rates = [percent(found.cmc.rate(1)), percent(found.cmc.rate(10))]
        cells = f"{rates[0]:>10}{rates[1]:>10}{percent(found.traditional.rate(1)):>13}"
        yield f"  {title(score):>16}{cells}{tar(score.verification.tar_at_far[0]):>14}{_counts(score)}"
    if variant.scores:
        yield from _tar_lines(variant.scores[-1])


def _tar_lines(score: Score) -> Iterator[str]:
    yield f"  among {title(score, DISTRACTORS)}, of {score.verification.impostors:,} impostor pairs:"
    yield f"    {'FAR ≤':<8}{'TAR':>10}{'above':>10}{'accepted':>11}   {'nearest FAR':<12}{'TAR':>9}"
    for one in score.verification.tar_at_far:
        least, near = one.at_most, one.nearest
        yield (
            f"    {one.asked:<8g}{tar(one):>10}{least.threshold:>10.6f}{least.impostors:>11,}"
            f"   {near.far:<12.3g}{percent(near.tar):>9}{'   noise' if is_noise(score, one) else ''}"
        )
    yield _read_line("the devkit's", read_off(as_devkit(score)))


def tar(one: TarAtFar) -> str:
    """The TAR at a rate; a word where the rate is below one impostor pair of all."""
    return percent(one.at_most.tar) if one.resolved else "unresolved"


def is_noise(score: Score, one: TarAtFar) -> bool:
    """Whether so few impostor pairs decide a TAR that it is mostly chance."""
    return score.verification.impostors * one.asked < FEW


def _counts(score: Score) -> str:
    parts = [f"{score.removed:,} removed"] if score.removed else []
    parts += [f"{score.missing:,} missing"] if score.missing else []
    return f"  {', '.join(parts)}" if parts else ""


def _compared_lines(name: str, result: DevkitResult) -> Iterator[str]:
    read = read_off(result)
    yield f"{name}: rank-1 {percent(read['rank_1'])}, rank-10 {percent(read['rank_10'])}"
    yield _read_line("its", read)


def _read_line(whose: str, read: dict[str, float | None]) -> str:
    tars = f"{percent(read['tar_last'])} at FAR ≤ {_FAR:g}, {percent(read['tar_first'])} beyond"
    return f"    off {whose} thinned curve: {tars}"


def curves_of(variants: Sequence[VariantScores], compared: dict[str, DevkitResult]) -> dict[str, Curve]:
    """CMC and ROC of the largest galleries, and rank-1 by size, by the names of their files."""
    ends = {
        f"{variant.name}, {title(score, DISTRACTORS)}": score
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


def title(score: Score, of: str = "") -> str:
    """The name of a gallery: its size, of what, and its set if it is not the first."""
    return f"{score.size:,}{of}" + (f", set {score.set_number}" if score.set_number != 1 else "")
