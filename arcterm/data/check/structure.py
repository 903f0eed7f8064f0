"""Check that the parts of a pack agree: header, keys, identity ranges, labels, bytes between records.

Everything is judged by what the records hold, as a survey found it, not by what the header promises.
"""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.data.check.findings import Findings, Place, Said
from arcterm.data.check.packpart import PackPart, walk
from arcterm.data.check.survey import BAD_LABEL, DAMAGED, NO_IMAGE, NO_LABEL, OTHER_SIZE, Survey
from arcterm.errors import DataError
from arcterm.formats.recordio.facepack import EXACT_FLOAT32
from arcterm.progress import Progress

AGAIN = "pack the images again"
_SHOWN = 5

Ints = NDArray[np.int64]
Labels = NDArray[np.signedinteger[Any]]


class Layout(NamedTuple):
    """Positions in the pack: `images` with keys 1 … `last` (all of im2rec's packs), and the `identities`."""

    images: Ints
    identities: Ints
    last: int


def check_pack(pack: PackPart, survey: Survey, findings: Findings, progress: Progress) -> Layout:
    """Find what contradicts itself in a surveyed pack; `progress` counts identity records."""
    layout = _layout(pack, survey, findings)
    if len(layout.identities):
        _check_ranges(pack, survey, layout, findings, progress)
    _check_checksums(pack, survey, findings)
    _check_bytes(pack, survey, findings)
    return layout


def _layout(pack: PackPart, survey: Survey, findings: Findings) -> Layout:
    """Tell images from identity records, and hold the header to it."""
    state = survey["state"][: len(pack)]
    without = np.flatnonzero(state == NO_IMAGE)
    intact = np.flatnonzero((state != NO_IMAGE) & (state != DAMAGED))
    if not len(intact):
        return Layout(intact, without, 0)
    last = int(pack.keys[intact[-1]])
    if pack.header is not None:
        last = _check_header(pack, last, findings)
    elif not len(without):
        return Layout(np.arange(len(pack)), without, last)
    first = int(np.searchsorted(pack.keys, 1))
    images = np.arange(first, np.searchsorted(pack.keys, last, side="right"))
    empty = images[state[images] == NO_IMAGE]
    findings.add_each(
        "record", empty.tolist(), lambda at: (f"{pack.where(at)} has no image", AGAIN, _place(pack, at))
    )
    damaged = np.flatnonzero(state == DAMAGED)
    behind = np.union1d(without, damaged)
    return Layout(images, behind[pack.keys[behind] > last], last)


def _check_header(pack: PackPart, last: int, findings: Findings) -> int:
    """Hold the header's labels and the index to one another; returns the last image's key."""
    assert pack.header is not None
    first, end = pack.header
    where = pack.where(pack.position(0) or 0)
    if not (first == int(first) and end == int(end) and 2 <= first <= end < 1 << 30):
        findings.add(
            "range",
            f"{where}: the header record's labels {first:g}, {end:g} make no sense",
            AGAIN,
            Place("train.rec", 0),
        )
        return last
    promised = int(first) - 1
    if end >= EXACT_FLOAT32:
        findings.add(
            "rounded",
            f"{where}: the header's labels {first:.0f} and {end:.0f} are float32, exact to 16,777,216 only",
            "arcterm reads the true ones off the records; another reader may take an identity for an image",
        )
        if first >= EXACT_FLOAT32 and abs(promised - last) <= _rounding(first):
            promised = last
    else:
        _check_keys(pack, int(end), findings)
    if last > promised:
        findings.add(
            "range",
            f"{where}: the header record promises images 1 to {promised}, and key {last} is one too",
            AGAIN,
            Place("train.rec", 0),
        )
    return max(promised, last)


def _check_keys(pack: PackPart, end: int, findings: Findings) -> None:
    """The keys must be 0 … end - 1, as the header record says."""
    file = str(pack.directory / "train.idx")
    expected = np.zeros(end, bool)
    expected[pack.keys[pack.keys < end]] = True
    hint = f"copy train.rec and train.idx again, together; or move the index away and run {_index(pack)}"
    promised = "{} lacks key {}, which the header record promises"
    beyond = "{} lists key {}, and the header record ends at " + str(end - 1)
    for keys, words in ((np.flatnonzero(~expected), promised), (pack.keys[pack.keys >= end], beyond)):

        def describe(key: int, words: str = words) -> Said:
            return words.format(file, key), hint, Place("train.idx", key)

        findings.add_each("index", keys.tolist(), describe)


def _check_ranges(
    pack: PackPart, survey: Survey, layout: Layout, findings: Findings, progress: Progress
) -> None:
    """Each identity record must cover all images of one label, and all of them together every image."""
    labels = np.full(layout.last, NO_LABEL, np.int32)
    labels[pack.keys[layout.images] - 1] = np.asarray(survey["label"])[layout.images]
    seen: dict[int, int] = {}
    covered: int | None = 0
    for number, position in enumerate(layout.identities.tolist()):
        progress(number, len(layout.identities), "check identities")
        try:
            first, end = pack.record(position).labels[:2]
        except (DataError, ValueError):  # named as a damaged record; where the next one begins isn't known
            covered = None
            continue
        if not (1 <= first < end <= layout.last + 1 + _rounding(end)):
            text = f"{pack.where(position)}: the identity names images {first:g} to {end - 1:g}"
            findings.add("range", f"{text} of {layout.last}", AGAIN, _place(pack, position))
            continue
        start, stop = int(first) - 1, min(int(end) - 1, layout.last)
        if (
            covered is not None
            and max(first, end) >= EXACT_FLOAT32
            and abs(start - covered) <= _rounding(first)
        ):
            text = f"{pack.where(position)}: its range {first:.0f} to {end:.0f} may be rounded"
            findings.add("rounded", text, place=_place(pack, position))
            start, stop = covered, _run_end(labels, covered)
        _check_start(pack, position, start, covered, findings)
        _check_person(pack, position, labels[start:stop], seen, findings)
        covered = stop
    if covered is not None and covered < layout.last:
        text = f"train.rec: no identity record covers images {covered + 1} to {layout.last}"
        findings.add("range", text, AGAIN)


def _check_start(pack: PackPart, position: int, start: int, covered: int | None, findings: Findings) -> None:
    """An identity's first image, 0-based, must be the one after those before."""
    if covered is not None and start != covered:
        what = "leaves out" if start > covered else "claims again"
        low, high = sorted((covered, start))
        text = f"{pack.where(position)}: the identity's range begins at {start + 1} and {what} images"
        findings.add("range", f"{text} {low + 1} to {high}", AGAIN, _place(pack, position))


def _check_person(
    pack: PackPart, position: int, labels: Labels, seen: dict[int, int], findings: Findings
) -> None:
    """The labels of one identity's images must be alike, and of no other identity."""
    known = np.unique(labels[labels >= 0])
    where = pack.where(position)
    if len(known) > 1:
        shown = ", ".join(str(label) for label in known[:_SHOWN])
        text = f"{where}: the identity's images have {len(known)} labels: {shown}"
        findings.add("range", text, AGAIN, _place(pack, position))
    elif len(known) and int(known[0]) in seen:
        label = int(known[0])
        text = f"{where}: label {label} has another identity record, key {seen[label]}"
        hint = "the list wasn't sorted by person: sort it; `arcterm data pack LIST DST` sorts by itself"
        findings.add("doubled", text, hint, _place(pack, position))
    elif len(known):
        seen[int(known[0])] = int(pack.keys[position])


def _rounding(key: float) -> float:
    """Return how far a key may be from the true one after it was stored as float32."""
    return float(np.spacing(np.float32(key))) if key >= EXACT_FLOAT32 else 0.0


def _run_end(labels: Labels, start: int) -> int:
    """Find the end of the run of one label that begins at `start`."""
    if start >= len(labels):
        return start
    other = np.flatnonzero(labels[start:] != labels[start])
    return start + int(other[0]) if other.size else len(labels)


def _check_checksums(pack: PackPart, survey: Survey, findings: Findings) -> None:
    """Hold every record to its CRC-32; those that aren't even records are named elsewhere."""
    if pack.checksums is None:
        return
    stored = pack.checksums.records
    if len(stored) != len(pack):
        text = f"{pack.directory}: train.idx lists {len(pack)} records and train.crc has {len(stored)}"
        findings.add(
            "file", text, "one of them is another pack's or damaged: copy both again", Place("train.crc")
        )
        return
    whole = survey["state"][: len(pack)] != DAMAGED
    changed = np.flatnonzero((survey["crc"][: len(pack)] != stored) & whole)

    def describe(at: int) -> Said:
        text = f"{pack.directory}: {pack.where(at)} is damaged: its CRC-32 isn't the one in train.crc"
        return text, "copy the pack again", _place(pack, at)

    findings.add_each("record", changed.tolist(), describe)


def _check_bytes(pack: PackPart, survey: Survey, findings: Findings) -> None:
    """Every byte of ``train.rec`` must belong to one record of the index."""
    size = len(pack.records)
    order = np.argsort(pack.offsets, kind="stable")
    starts, ends = pack.offsets[order], np.asarray(survey["end"][: len(pack)])[order]
    following = np.append(starts[1:], size)
    # Where a broken record ends isn't known: it is taken to reach to the next one.
    ends = np.where(ends == 0, following, ends)
    before = np.concatenate([[0], ends])
    after = np.append(starts, size)
    for at in np.flatnonzero(after > before).tolist():
        _name_gap(pack, int(before[at]), int(after[at]), findings)
    for at in np.flatnonzero(following < np.minimum(ends, size)).tolist():
        one, other = order[at], order[min(at + 1, len(order) - 1)]
        text = f"{pack.directory}: {pack.where(other)} begins inside the record of key {pack.keys[one]}"
        hint = f"the index is damaged: copy it again, or move it away and run {_index(pack)}"
        findings.add("index", text, hint, _place(pack, int(other)))
    if len(ends) and ends.max() > size:
        text = f"{pack.records.path}: the last record's padding is cut off at byte {size}"
        findings.add("record", text, "copy it again", Place("train.rec", offset=size))


def _index(pack: PackPart) -> str:
    return f"`arcterm data index {shlex.quote(str(pack.directory))}`"


def _name_gap(pack: PackPart, start: int, stop: int, findings: Findings) -> None:
    inside = sum(1 for _ in walk(pack.records, start, stop))
    what = f"{inside} records that train.idx doesn't name" if inside else "what is no record"
    text = f"{pack.records.path}: bytes {start} to {stop - 1} hold {what}"
    hint = f"the index is incomplete or damaged: copy it again, or move it away and run {_index(pack)}"
    findings.add("index", text, hint, Place("train.rec", offset=start), max(1, inside))


def _place(pack: PackPart, position: int) -> Place:
    return Place("train.rec", int(pack.keys[position]), int(pack.offsets[position]))


def name_damaged(survey: Survey, findings: Findings) -> None:
    """Name every item that can't be read or has another size than it should."""

    def describe(item: int) -> Said:
        try:
            survey.image(item)
        except DataError as error:
            return error.message, error.hint, _place_of(survey, item)
        return f"{survey.name(item)} could not be read, and now it can", AGAIN, _place_of(survey, item)

    findings.add_each("record", np.flatnonzero(survey["state"] == DAMAGED).tolist(), describe)
    findings.add_each("size", np.flatnonzero(survey["state"] == OTHER_SIZE).tolist(), describe)


def check_labels(survey: Survey, items: Ints, classes: int | None, findings: Findings) -> None:
    """The labels of `items` must be whole numbers below `classes`."""
    labels, state = np.asarray(survey["label"])[items], survey["state"][items]
    wrong = (labels == BAD_LABEL) | (labels >= (1 << 30 if classes is None else classes))
    wrong &= (state != DAMAGED) & (state != NO_IMAGE)
    allowed = "whole numbers" if classes is None else f"0 to {classes - 1}"
    hint = "set the class count in the file property right, or pack the images again"

    def describe(item: int) -> Said:
        piece = survey.piece(item)
        text = f"{piece.source} has label {piece.label:g}; the classes are {allowed}"
        return text, hint, _place_of(survey, item)

    findings.add_each("label", items[wrong].tolist(), describe)


def _place_of(survey: Survey, item: int) -> Place:
    part, number = survey.part_of(item)
    place = _place(part, number) if isinstance(part, PackPart) else Place(part.name)
    return place._replace(items=(item,))
