"""``arcterm evaluate ijb``: a model on IJB-B or IJB-C, from loose crops to the rates of their protocols."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from arcterm_registry.contracts import JobReport
from torch import Tensor

from arcterm.errors import DataError
from arcterm.evaluate.ijb.crops import AlignedFaces, write_sheet
from arcterm.evaluate.ijb.output import CROPS, FEATURES, Written, write
from arcterm.evaluate.ijb.pooling import FLIPS, Flip, Norms, Pooling
from arcterm.evaluate.ijb.report import Heading, page_of
from arcterm.evaluate.ijb.result import ALIGNMENT, READINGS, curves_of, score_lines, variant_lines
from arcterm.evaluate.ijb.scoring import ScoredDatabase, score
from arcterm.evaluate.record import record_model
from arcterm.features.leader import lead
from arcterm.features.matrix import extract
from arcterm.features.networks import open_networks
from arcterm.features.pictures import reason
from arcterm.files import Stamp, digests, require_free, stamp, write_bytes
from arcterm.formats.ijb.database import Faces, Protocol, find_missing, odd_sizes, read_faces, read_protocol
from arcterm.formats.ijb.places import Letter, Places, locate
from arcterm.formats.ijb.problems import quote
from arcterm.runs.context import JobContext
from arcterm.text import first_of
from arcterm.verify.ranks import agree

_NAMED = 10


class _Database(NamedTuple):
    """A database as a rank has read it; the first alone has the protocol, and `notes` for the user."""

    places: Places
    faces: Faces
    protocol: Protocol | None
    notes: list[str]


def ijb(
    context: JobContext,
    model: str,
    root: str,
    *,
    database: str,
    flip: str,
    norms: str,
    detector_score: bool,
    variants: bool,
    out: str,
    features: bool,
    checkpoint: str,
    channels: str,
    mean: str,
    std: str,
    batch_size: int | None,
) -> JobReport:
    """Score `model` on the IJB-B or IJB-C at `root` by verification, and identification if it has that.

    `flip`, `norms` and `detector_score` are those of `Pooling`; with `variants` all of its variants are
    scored, from the same features. Vectors and scores go into the new folder `out`, or into the run's, and
    with `features` those of all images too. All ranks embed; the first scores. Raises `DataError`.
    """
    started = time.perf_counter()
    chosen = Pooling(cast(Flip, flip), cast(Norms, norms), detector_score)
    networks = open_networks(context, [model], channels=channels, mean=mean, std=std)
    ranks = networks.ranks
    read = agree(ranks, lambda: _read(context, root, cast(Letter, database), networks.stamp(), out))
    pictures = AlignedFaces(read.faces)
    if ranks.first:
        write_sheet(pictures, networks.input_size, context.run.path / CROPS)
        context.say(f"look at some of the faces, aligned: {context.run.path / CROPS}")
    matrix, width = context.work / FEATURES, 2 * networks.sizes[0]
    refused = extract(
        context, networks, pictures, matrix, both_views, width, batch_size=batch_size, retry=True
    )
    if refused:
        raise _refusal(refused, pictures)
    scored = lead(
        context,
        ranks,
        lambda leader: score(
            read.faces,
            cast(Protocol, read.protocol),  # this is the first rank, which has it
            np.load(matrix, mmap_mode="r"),
            chosen,
            variants,
            leader,
        ),
    )
    if scored is None:
        return JobReport(lines=[])
    used = scored.results[0].pooling
    made = record_model(networks) | {"flip": FLIPS[used.flip], "norms": used.norms}
    data = _record(read, scored, made) | {"seconds": round(time.perf_counter() - started, 3)}
    target = Path(out) if out else context.run.path / "ijb"
    if not out:
        shutil.rmtree(target, ignore_errors=True)  # of an attempt that was killed at its end
    head = _head(read, scored, made)
    drawn = curves_of(scored.results[0], head.title)
    written = Written(data, page_of(head, scored.results, drawn.values()), drawn)
    write(context, target, written, scored, keep_features=features)
    lines = [*_lines(head, scored), f"{target} has the vectors of the templates, the scores and the curves"]
    return JobReport(lines=lines, data=data, result=str(target), curves=list(drawn.values()))


def both_views(views: list[Tensor]) -> Tensor:
    """Put the raw features of image and mirror image beside each other: (N, 2, D) → (N, 2·D)."""
    (own,) = views
    return own.flatten(1)


def _read(context: JobContext, root: str, letter: Letter, models: Stamp, out: str) -> _Database:
    """Read the database, on the first rank with its protocol, once it is sure that all images are there."""
    places = locate(Path(root), letter)
    faces = read_faces(places)
    if context.world is not None and not context.world.first:
        return _Database(places, faces, None, [])
    if out:
        require_free(Path(out))
    context.progress(0, 0, "reading the database")
    context.require_unchanged([*models, *stamp(places.files)])
    protocol = read_protocol(places, faces)
    _require_images(context, places, faces)
    odd = odd_sizes(places.letter, faces, protocol)
    notes = [f"a part of {places.name}? {', '.join(odd)}"] if odd else []
    if places.absent:
        notes.append(f"verification only: there is no {', no '.join(places.absent)}")
    for note in notes:
        context.say(note, "warning")
    return _Database(places, faces, protocol, notes)


def _require_images(context: JobContext, places: Places, faces: Faces) -> None:
    missing = find_missing(faces)
    if not missing:
        return
    note = context.work / "missing.txt"
    write_bytes(note, "".join(f"{name}\n" for name in missing).encode())
    named = first_of([quote(name) for name in missing], _NAMED)
    raise DataError(
        f"{len(missing):,} of {len(faces.names):,} images are missing in {places.images}: {named}",
        f"copy them again; {note} names all",
    )


def _refusal(refused: dict[int, str], pictures: AlignedFaces) -> DataError:
    """Return the error for images that can't be embedded: a template without one of them is another."""
    reasons = [reason(pictures.name(index), why) for index, why in sorted(refused.items())]
    named = first_of(reasons, _NAMED, "; ")
    return DataError(
        f"{len(refused):,} of {len(pictures):,} images can't be embedded: {named}",
        "copy these images again and resume the job, or correct their landmarks and begin again",
    )


def _record(read: _Database, scored: ScoredDatabase, made: dict[str, Any]) -> dict[str, Any]:
    """Return all that a number needs to be compared with another."""
    return {
        "set": read.places.name,
        "root": str(read.places.images.parent),
        "files": digests(read.places.files),
        "counts": msgspec.to_builtins(scored.counts),
        "notes": [*read.notes, *scored.notes],
        "model": made,
        "alignment": ALIGNMENT,
        "readings": READINGS,
        "results": [each.record() for each in scored.results],
    }


def _head(read: _Database, scored: ScoredDatabase, made: dict[str, Any]) -> Heading:
    counts = scored.counts
    line = (
        f"{read.places.name}: {counts.images:,} images, {counts.templates:,} templates, {counts.pairs:,} "
        f"pairs, of which {counts.genuine:,} are of one person; {made['model']}, {made['input']}"
    )
    return Heading(read.places.name, line, [*read.notes, *scored.notes])


def _lines(head: Heading, scored: ScoredDatabase) -> list[str]:
    lines = [head.line, *(f"note: {note}" for note in head.notes), *score_lines(scored.results[0])]
    return lines + (list(variant_lines(scored.results)) if len(scored.results) > 1 else [])
