"""Results of a database: records for scripts, lines for a person, curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from arcterm_registry.contracts import Curve

from arcterm.evaluate.ijb.identification import RANKS, GalleryResult, Identified
from arcterm.evaluate.ijb.pooling import Pooling
from arcterm.evaluate.ijb.verification import FEW_IMPOSTORS, Tar, Verified
from arcterm.text import percent

ALIGNMENT = "similarity by the five landmarks of the database's file, bilinear, black outside"
READINGS = {
    "tar": "the largest at a FAR of no more than the value; a pair is accepted above the threshold, strictly",
    "nearest_tar": "at the attainable FAR that is nearest, as papers read it",
    "tpir": "mate at rank 1 and above the threshold, strictly; threshold exact, FPIR no more than the value",
    "rank": "over probes with a mate in the gallery; an equal score counts against the probe",
}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a database; `media` are counted within templates."""

    images: int
    templates: int
    media: int
    pairs: int
    genuine: int
    impostors: int


class Scores(msgspec.Struct, frozen=True):
    """Results of one way of pooling; `verification` is None for pairs of one kind."""

    pooling: Pooling
    verification: Verified | None
    identification: Identified | None

    def record(self) -> dict[str, Any]:
        """Return it as JSON's objects, with the pooling in words."""
        return {"words": str(self.pooling), **msgspec.to_builtins(self, str_keys=True)}


def score_lines(scores: Scores) -> Iterator[str]:
    """Word the results of one way of pooling."""
    yield f"{scores.pooling}:"
    if scores.verification is not None:
        yield from map(_tar_line, scores.verification.tars)
        if any(tar.noise for tar in scores.verification.tars):
            yield f"  (noise: fewer than {FEW_IMPOSTORS} impostor pairs decide)"
    else:
        yield "  1:1  all pairs are of one kind: no rates"
    if scores.identification is not None:
        yield from _identification_lines(scores.identification)


def variant_lines(variants: Sequence[Scores]) -> Iterator[str]:
    """A line for each way of pooling, with its most quoted numbers."""
    yield "all ways of pooling: TAR at FAR 1e-6, 1e-5, 1e-4; mean rank 1, mean TPIR at FPIR 0.01"
    width = max(len(str(each.pooling)) for each in variants)
    for each in variants:
        tars = each.verification.tars[:3] if each.verification else []
        found = each.identification
        means = [found.mean_ranks[1], *list(found.mean_tpir.values())[:1]] if found else []
        numbers = [percent(tar.tar) for tar in tars] + [percent(mean) for mean in means]
        yield f"  {each.pooling!s:<{width}}  {'  '.join(numbers)}"


def curves_of(scores: Scores, title: str) -> dict[str, Curve]:
    """Return the ROC of the pairs and the CMC of the galleries, by the name of their files."""
    drawn = {}
    if scores.verification is not None:
        drawn["roc"] = Curve(
            title=f"{title}: verification",
            x="false-accept rate",
            y="true-accept rate",
            lines={str(scores.pooling): scores.verification.roc},
            log_x=True,
        )
    if scores.identification is not None:
        lines = {
            f"gallery {found.gallery}": [(float(rank), share) for rank, share in enumerate(found.cmc, 1)]
            for found in scores.identification.galleries
        }
        title = f"{title}: identification"
        drawn["cmc"] = Curve(title=title, x="rank", y="share of mated probes", lines=lines)
    return drawn


def _tar_line(tar: Tar) -> str:
    start = f"  1:1  FAR ≤ {tar.far:<6g}"
    if not tar.resolved:
        return f"{start} TAR {percent(tar.tar)}  (noise: below one impostor pair of all)"
    return (
        f"{start} TAR {percent(tar.tar)}  above {tar.threshold:.6f}, {tar.accepted:,} accepted, "
        f"FAR {tar.realised_far:.3g};  nearest: {percent(tar.nearest_tar)} at FAR {tar.nearest_far:.3g}"
        f"{'  (noise)' if tar.noise else ''}"
    )


def _identification_lines(found: Identified) -> Iterator[str]:
    for gallery in found.galleries:
        yield from _gallery_lines(gallery)
    yield f"  1:N  mean of both: {_ranks(found.mean_ranks)};  {_tpirs(found.mean_tpir)}"
    for older in found.older:
        yield f"  1:N  for comparison, {older.how}: {_ranks(older.ranks)};  {_tpirs(older.tpir)}"


def _gallery_lines(gallery: GalleryResult) -> Iterator[str]:
    yield (
        f"  1:N  gallery {gallery.gallery} of {gallery.templates:,}, {gallery.mated:,} mated and "
        f"{gallery.non_mated:,} other probes: {_ranks(gallery.ranks)}"
    )
    for point in gallery.open_set:
        above = "everything" if point.threshold is None else f"above {point.threshold:.6f}"
        few = "" if point.resolved else "  (below one probe of all)"
        yield (
            f"       FPIR ≤ {point.asked:g} TPIR {percent(point.tpir)}  {above}, "
            f"{point.accepted:,} accepted, FPIR {point.fpir:.3g}{few}"
        )


def _ranks(shares: dict[int, float]) -> str:
    return f"rank {' / '.join(map(str, RANKS))} {' / '.join(percent(share) for share in shares.values())}"


def _tpirs(shares: dict[float, float]) -> str:
    return ", ".join(f"TPIR {percent(share)} at FPIR {fpir:g}" for fpir, share in shares.items())
