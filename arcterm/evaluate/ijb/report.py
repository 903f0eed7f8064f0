"""The page of a result: tables of rates, curves, and how to read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from arcterm_registry.contracts import Curve

from arcterm.evaluate.ijb.identification import RANKS, GalleryResult, Identified
from arcterm.evaluate.ijb.result import READINGS, Scores
from arcterm.evaluate.ijb.verification import FEW_IMPOSTORS, Tar
from arcterm.pictures import curves, page
from arcterm.text import percent

_TAR_HEADS = ("FAR", "TAR", "threshold", "accepted", "FAR, exact", "TAR, nearest", "FAR, nearest", "")
_VARIANT_FARS = 3  # of the smallest, which papers quote


class Heading(NamedTuple):
    """What stands above the rates: the database's name, a line on it and on the model, and notes."""

    title: str
    line: str
    notes: Sequence[str]


def page_of(head: Heading, results: Sequence[Scores], drawn: Iterable[Curve]) -> str:
    """Make the page of results, the chosen one first, of which `drawn` are the curves."""
    chosen = results[0]
    parts = [f"<h1>{page.text(head.title)}</h1>", f"<p>{page.text(head.line)}</p>"]
    if head.notes:
        parts.append(f"<ul>{''.join(f'<li>{page.text(note)}</li>' for note in head.notes)}</ul>")
    parts += _verification(chosen)
    if chosen.identification is not None:
        parts += _identification(chosen.identification)
    parts += [curves.part(curve) for curve in drawn]
    if len(results) > 1:
        parts += _variants(results)
    parts += ["<h2>How to read it</h2>", page.table(READINGS.items())]
    return page.page(head.title, parts)


def _verification(scores: Scores) -> Iterator[str]:
    yield f"<h2>Verification: {page.text(str(scores.pooling))}</h2>"
    if scores.verification is None:
        yield "<p>All pairs are of one kind: there are no rates.</p>"
        return
    rows = map(_tar_row, scores.verification.tars)
    yield page.table(rows, _TAR_HEADS, faint=lambda row: row[-1].startswith("noise"))
    genuine, impostors = scores.verification.genuine, scores.verification.impostors
    counts = f"{genuine:,} pairs of one person, {impostors:,} of two."
    rule = f"Where fewer than {FEW_IMPOSTORS} impostor pairs decide, a rate is mostly chance."
    yield f'<p class="hint">{counts} {rule}</p>'


def _tar_row(tar: Tar) -> list[str]:
    if not tar.resolved:
        return [f"{tar.far:g}", percent(tar.tar), *[""] * 5, "noise: below one impostor pair of all"]
    return [
        f"{tar.far:g}",
        percent(tar.tar),
        f"{tar.threshold:.6f}",
        f"{tar.accepted:,}",
        f"{tar.realised_far:.3g}",
        percent(tar.nearest_tar),
        f"{tar.nearest_far:.3g}",
        "noise" if tar.noise else "",
    ]


def _identification(found: Identified) -> Iterator[str]:
    fpirs = list(found.mean_tpir)
    heads = ["gallery", "templates", "mated", "others", *(f"rank {rank}" for rank in RANKS)]
    heads += [text for fpir in fpirs for text in (f"TPIR at FPIR {fpir:g}", "threshold")]
    means = [text for share in found.mean_tpir.values() for text in (percent(share), "")]
    mean = ["mean", "", "", "", *map(percent, found.mean_ranks.values()), *means]
    yield "<h2>Identification</h2>"
    yield page.table([*map(_gallery_row, found.galleries), mean], heads)
    yield "<h2>As older scripts read it, for comparison</h2>"
    rows = [
        [older.how, *map(percent, older.ranks.values()), *map(percent, older.tpir.values())]
        for older in found.older
    ]
    older_heads = ["", *(f"rank {rank}" for rank in RANKS), *(f"TPIR at FPIR {fpir:g}" for fpir in fpirs)]
    yield page.table(rows, older_heads)


def _gallery_row(gallery: GalleryResult) -> list[str]:
    points = [
        text
        for point in gallery.open_set
        for text in (percent(point.tpir), "" if point.threshold is None else f"{point.threshold:.6f}")
    ]
    sizes = [f"{size:,}" for size in (gallery.templates, gallery.mated, gallery.non_mated)]
    return [gallery.gallery, *sizes, *map(percent, gallery.ranks.values()), *points]


def _variants(results: Sequence[Scores]) -> Iterator[str]:
    """A row for each way of pooling, with its most quoted numbers."""
    known = next((each.verification.tars for each in results if each.verification), [])[:_VARIANT_FARS]
    heads = ["", *(f"TAR at FAR {tar.far:g}" for tar in known), "rank 1, mean", "TPIR, mean"]
    rows = []
    for each in results:
        tars = each.verification.tars[:_VARIANT_FARS] if each.verification else []
        found = each.identification
        means = [found.mean_ranks[1], *list(found.mean_tpir.values())[:1]] if found else []
        rows.append([str(each.pooling), *(percent(tar.tar) for tar in tars), *map(percent, means)])
    yield "<h2>All ways of pooling</h2>"
    yield page.table(rows, heads)
