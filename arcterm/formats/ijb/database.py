"""IJB-B or IJB-C as its text files describe it: read, joined, and checked against one another.

The published scripts read an unknown template as the first one; here whatever does not match is an error.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.ijb.faces import LandmarkLines, TemplateLines, compare, read_landmarks, read_templates
from arcterm.formats.ijb.pairs import TemplatePairs, read_pairs
from arcterm.formats.ijb.places import Letter, Places
from arcterm.formats.ijb.problems import NAMED, Problems
from arcterm.formats.ijb.subjects import Subjects, read_subjects

_SIZES = {  # as published: images, templates, pairs, genuine pairs
    "B": (227_630, 12_115, 8_010_270, 10_270),
    "C": (469_375, 23_124, 15_658_489, 19_557),
}
_COUNTED = ("images", "templates", "pairs", "genuine pairs")
_HINT = "copy the text files again; lines of both image files belong together by their number"


class Faces(NamedTuple):
    """N images: names below `folder`, landmarks (N, 5, 2) float32, scores (N,) float64, ids (N,) int32."""

    folder: Path
    names: list[str]
    points: NDArray[np.float32]
    scores: NDArray[np.float64]
    templates: NDArray[np.int32]
    media: NDArray[np.int32]


class Protocol(NamedTuple):
    """Pairs of templates to compare, and for identification the galleries by name, and the probes."""

    pairs: TemplatePairs
    galleries: dict[str, Subjects]
    probes: Subjects | None


def read_faces(places: Places) -> Faces:
    """Read the images' lines; raises `DataError` with every problem in them, and every missing image."""
    problems = Problems()
    templates = read_templates(places.templates, problems)
    landmarks = read_landmarks(places.landmarks, problems)
    if not problems:
        problems.add(compare(templates, landmarks, (places.templates, places.landmarks)))
        if not templates.names:
            problems.add([f"{places.templates.name} is empty"])
    if problems:  # those of the other files are named too
        read_pairs(places.pairs, problems)
        for path in (*places.galleries.values(), *filter(None, [places.probes])):
            read_subjects(path, problems)
    problems.require_none(places.templates.parent, _HINT)
    return _joined(places.images, templates, landmarks)


def read_protocol(places: Places, faces: Faces) -> Protocol:
    """Read pairs, galleries and probes; raises `DataError` with every line that can't be used.

    That is also one whose template has no image among `faces`.
    """
    problems = Problems()
    known = np.unique(faces.templates)
    pairs = read_pairs(places.pairs, problems)
    _unknown_pairs(places.pairs, pairs, known, problems)
    if not len(pairs.same) and not problems:
        problems.add([f"{places.pairs.name} is empty"])
    galleries = {name: _read_known(path, known, problems) for name, path in places.galleries.items()}
    probes = None if places.probes is None else _read_known(places.probes, known, problems)
    _contradictions(places, galleries, probes, problems)
    problems.require_none(places.pairs.parent, _HINT)
    return Protocol(pairs, galleries, probes)


def find_missing(faces: Faces) -> list[str]:
    """Names of images that aren't there, in order; a folder is listed once."""
    listed: dict[str, set[str]] = {}
    missing = []
    for name in faces.names:
        parent, own = os.path.split(name)
        if parent not in listed:
            listed[parent] = _entries(faces.folder / PurePosixPath(parent))
        if own not in listed[parent]:
            missing.append(name)
    return missing


def odd_sizes(letter: Letter, faces: Faces, protocol: Protocol) -> list[str]:
    """Say in which sizes the database differs from the published one, which is legal."""
    sizes = (
        len(faces.names),
        len(np.unique(np.concatenate([protocol.pairs.left, protocol.pairs.right]))),
        len(protocol.pairs.same),
        int(protocol.pairs.same.sum()),
    )
    return [
        f"{size:,} {what} ({usual:,} in the whole one)"
        for what, size, usual in zip(_COUNTED, sizes, _SIZES[letter], strict=True)
        if size != usual
    ]


def _joined(folder: Path, templates: TemplateLines, landmarks: LandmarkLines) -> Faces:
    return Faces(
        folder, templates.names, landmarks.points, landmarks.scores, templates.templates, templates.media
    )


def _read_known(path: Path, known: NDArray[np.int32], problems: Problems) -> Subjects:
    found = read_subjects(path, problems)
    unknown = found.templates[~np.isin(found.templates, known)].tolist()
    problems.add(f"{path.name}: no image is of template {template}" for template in unknown)
    if not found.rows and not problems:
        problems.add([f"{path.name} is empty"])
    return found


def _contradictions(
    places: Places, galleries: dict[str, Subjects], probes: Subjects | None, problems: Problems
) -> None:
    """Add templates that two of the files say to be of different subjects."""
    read = [(places.galleries[name].name, gallery) for name, gallery in galleries.items()]
    if places.probes is not None and probes is not None:
        read.append((places.probes.name, probes))
    for (name, one), (other_name, other) in itertools.combinations(read, 2):
        both, at, place = np.intersect1d(one.templates, other.templates, return_indices=True)
        subjects = np.column_stack([both, one.subjects[at], other.subjects[place]])
        problems.add(
            f"template {template} is of subject {subject} in {name}, of {second} in {other_name}"
            for template, subject, second in subjects[subjects[:, 1] != subjects[:, 2]].tolist()
        )


def _unknown_pairs(path: Path, pairs: TemplatePairs, known: NDArray[np.int32], problems: Problems) -> None:
    lines = np.flatnonzero(~(np.isin(pairs.left, known) & np.isin(pairs.right, known)))
    named = []
    for line in lines[:NAMED].tolist():
        ids = [str(side[line]) for side in (pairs.left, pairs.right) if side[line] not in known]
        named.append(f"{path.name} line {line + 1}: no image is of template {' or '.join(ids)}")
    problems.add(named, len(lines))


def _entries(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208  half a million paths would take long
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise DataError(f"{folder} can't be listed: {error.strerror}", "check its permissions") from None
