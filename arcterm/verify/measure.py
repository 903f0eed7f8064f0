"""What is measured of a set beside the published protocol: rates, groups, rejection, wrong pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.verify import mistakes
from arcterm.verify.embed import Scored
from arcterm.verify.groups import GroupScores, measure_groups
from arcterm.verify.mistakes import SetMistakes
from arcterm.verify.rates import Rates, cosine, measure_rates
from arcterm.verify.reject import Rejection, measure_rejection, read_qualities

NORM = "norm"
"""As a quality: the length of an image's embedding, neither normalised nor summed with its mirror image's."""


MOST_WRONG = 10_000
"""Wrong pairs that are listed, the worst ones."""


class Measured(NamedTuple):
    """`lines` for a person, `data` for JSON, the distances of all pairs, and the wrong ones."""

    lines: list[str]
    data: dict[str, Any]
    distances: NDArray[np.float64]
    wrong: SetMistakes


def measure(scored: Scored, reject_by: str = "") -> Measured:
    """Measure a set; `reject_by` is ``norm`` or a file with a number for each image, empty for no such curve.

    Raises `DataError` for a file that doesn't fit the set.
    """
    same, groups = np.asarray(scored.pairs.same, np.bool_), getattr(scored.pairs, "groups", None)
    rates = measure_rates(scored.distances, same)
    grouped = measure_groups(scored.distances, same, groups) if groups else None
    rejection = None
    if reject_by:
        images = 2 * len(same)
        qualities = (
            scored.norms[:, 0].astype(np.float64)
            if reject_by == NORM
            else read_qualities(Path(reject_by), images)
        )
        rejection = measure_rejection(scored.distances, same, qualities)
    wrong = mistakes.find(scored.distances, same, scored.result)
    lines = [*_rate_lines(rates), *_group_lines(grouped), *_reject_lines(rejection, reject_by, rates)]
    measured = {
        "folds": {"accuracies": scored.result.fold_accuracies, "thresholds": scored.result.thresholds},
        "measured": msgspec.to_builtins(rates),
        "groups": msgspec.to_builtins(grouped),
        "rejection": msgspec.to_builtins(rejection),
        "wrong": len(wrong),
        "wrong_pairs": [each._asdict() for each in wrong[:MOST_WRONG]],
    }
    return Measured(lines, measured, scored.distances, SetMistakes(scored.name, scored.pairs, wrong))


def _rate_lines(rates: Rates | None) -> Iterator[str]:
    if rates is None:
        return
    yield (
        f"  AUC {rates.auc:.6f}  EER {rates.eer:.4f} at {rates.eer_threshold:.3f}"
        f"  ({rates.genuine:,} same, {rates.impostors:,} different pairs)"
    )
    for one in rates.tar_at_far:
        if one.resolved:
            least, near = one.at_most, one.nearest
            yield (
                f"  FAR ≤ {one.asked:<6g} TAR {least.tar:.4f}  threshold {least.threshold:.6f} "
                f"(cosine {cosine(least.threshold):.6f})  {least.impostors:,} accepted, FAR {least.far:.3g}"
                f"  nearest: TAR {near.tar:.4f} at FAR {near.far:.3g}"
            )
    if low := [f"{one.asked:g}" for one in rates.tar_at_far if not one.resolved]:
        yield f"  FAR {', '.join(low)}: less than one of {rates.impostors:,} different pairs"


def _group_lines(grouped: GroupScores | None) -> Iterator[str]:
    if grouped is None:
        return
    for group in grouped.groups:
        score = "–" if group.accuracy is None else f"{group.accuracy:.4f} ± {group.std:.4f}"
        shared = "".join(
            f"  {name} {value:.4f}"
            for name, value in (("TAR", group.tar), ("FAR", group.far))
            if value is not None
        )
        why = f"  ({group.withheld})" if group.withheld else ""
        yield f"  group {group.name}: {score}  of {group.pairs:,} pairs{shared}{why}"
    if grouped.spread is not None:
        at = "" if grouped.threshold is None else f"; TAR and FAR are at {grouped.threshold:.3f} for all"
        yield f"  spread of the groups: {grouped.spread:.4f}, standard deviation {grouped.std:.4f}{at}"


def _reject_lines(rejection: Rejection | None, reject_by: str, rates: Rates | None) -> Iterator[str]:
    if rejection is None or rates is None:
        return
    read = {one.asked for one in rates.tar_at_far if one.resolved}
    yield f"  reject by {'norm' if reject_by == NORM else Path(reject_by).name}:"
    for curve in rejection.fixed:
        if curve.far in read:
            area = next(each for each in curve.areas if each.limit == 0.2)
            yield (
                f"    {curve.method}; FAR ≤ {curve.far:g} at first, {curve.threshold:.3f}: FNMR "
                f"{curve.fnmr[0]:.4f}, area to 20 % discarded {area.area:.5f} (best {area.best:.5f})"
            )
    for moved in rejection.recomputed:
        if moved.far in read:
            points = ", ".join(
                f"{share:.0%} {fnmr:.4f}"
                for share, fnmr in zip(moved.discarded, moved.fnmr, strict=True)
                if round(share * 100) % 20 == 0
            )
            yield f"    {moved.method}; FAR {moved.far:g}: FNMR {points}; area {moved.area:.5f}"
