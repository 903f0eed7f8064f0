"""Checks of a data set: what is said of it beforehand is what it holds, and reading it is safe. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arcterm_registry.conformance.findings import Failed, Skipped, Warned, foundation, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.contracts import DatasetFacts, FaceDataset, LabelledDataset, Record
from arcterm_registry.declare import Dataset

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image

_SAMPLE = 256
_THREADS = 8
_READ_ALL = 20_000  # records whose labels are read one by one where the data set does not know them


@foundation
def path(subject: Subject) -> str:
    """The path is what the declaration says makes it one of this kind: files it has, or its ending."""
    said = _declared(subject)
    if not said.takes_path:
        return "takes no path"
    place = Path(_path(subject))
    if said.suffixes:
        require(place.is_file(), f"{place} is not a file", "give one with --path FILE")
        fitting = place.suffix in said.suffixes
        require(fitting, f"{place} doesn't end in {' or '.join(said.suffixes)}", "correct `suffixes`")
        return f"ends in {place.suffix}"
    require(place.is_dir(), f"{place} is not a directory", "give one with --path DIR")
    missing = [name for name in said.needs if not (place / name).exists()]
    require(not missing, f"{place} has no {', '.join(missing)}", "correct `needs`, or give another directory")
    named = ", ".join(said.needs)
    return f"has {named}" if named else "`needs` is empty: `--dataset DIR` can't tell it from other kinds"


@foundation
def inspect(subject: Subject) -> str:
    """Facts without torch: images, classes, image size, a fingerprint that stays the same."""
    torch_was_there = "torch" in sys.modules
    facts, again = _facts(subject), _facts(subject)
    require(
        torch_was_there or "torch" not in sys.modules, "inspect() imports torch", "a form can't wait for that"
    )
    require(isinstance(facts, DatasetFacts), f"inspect() gives {type(facts).__name__}", "return DatasetFacts")
    require(facts.images > 0, "inspect() counts no images", "raise an error that says what is missing")
    require(
        facts.classes >= 2, f"inspect() counts {facts.classes} classes", "training takes two people or more"
    )
    require(
        len(facts.image_size) == 2 and min(facts.image_size) > 0,
        f"image_size is {facts.image_size}",
        "give (height, width)",
    )
    require(facts.fingerprint, "the fingerprint is empty", "give a hex digest of the index")
    require(facts == again, "inspect() says something else the second time", "depend on the files alone")
    return f"{facts.images:,} images of {facts.classes:,} people"


@foundation
def contents(subject: Subject) -> str:
    """The factory's object has the length, classes and verification sets that inspect() gives."""
    facts, faces = _facts(subject), _open(subject)
    aside = facts.set_aside or {}
    for words, found, said in (
        ("length", len(faces), facts.images),
        ("classes", faces.classes, facts.classes),
        ("verification sets", [n for n in faces.verification if n not in aside], list(facts.verification)),
    ):
        require(found == said, f"its {words} is {found} and inspect() says {said}", "count one way in both")
    return f"{len(faces.verification)} verification sets"


@foundation
def records(subject: Subject) -> str:
    """Records have an image, a label inside the classes and a source that identifies it."""
    faces = _open(subject)
    sources = set()
    chosen = _sample(len(faces))
    for index in chosen:
        record = faces[index]
        require(
            isinstance(record, Record),
            f"record {index} is {type(record).__name__}",
            "return contracts.Record",
        )
        require(
            isinstance(record.label, int | np.integer) and 0 <= record.label < faces.classes,
            f"{record.source or index}: label {record.label!r} is outside the {faces.classes} classes",
            "labels are whole numbers from 0 to classes - 1",
        )
        require(
            isinstance(record.source, str) and record.source.strip(),
            f"record {index} has no source",
            "name the file and key: it is what a message about a bad image says",
        )
        sources.add(record.source)
    require(len(sources) == len(chosen), "two records have one source", "name file and key of each")
    return f"{len(chosen)} of {len(faces):,} records"


def images(subject: Subject) -> str:
    """Images decode to RGB of the size that inspect() gives."""
    faces, size = _open(subject), _facts(subject).image_size
    kinds = set()
    for index in _sample(len(faces)):
        record = faces[index]
        kinds.add(_check_image(record.image, size, record.source))
    return f"{', '.join(sorted(kinds))}, {size[1]}×{size[0]}"


def labels(subject: Subject) -> str:
    """labels(), where there is one, agrees with the records; every class has an image."""
    faces = _open(subject)
    if isinstance(faces, LabelledDataset):
        found = np.asarray(faces.labels(lambda done, total: None))
        require(
            found.shape == (len(faces),) and np.issubdtype(found.dtype, np.integer),
            f"labels() gives {found.dtype} {found.shape} for {len(faces)} records",
            "return int64 (N,)",
        )
        for index in _sample(len(faces)):
            require(
                found[index] == faces[index].label,
                f"labels() says {found[index]} of record {index}, which has {faces[index].label}",
                "keep the order of the records",
            )
    elif len(faces) > _READ_ALL:
        raise Skipped(f"it has no labels(), and {len(faces):,} records are too many to read here")
    else:
        found = np.array([faces[index].label for index in range(len(faces))])
    outside = found[(found < 0) | (found >= faces.classes)]
    require(
        not len(outside), f"label {outside[:1]} is outside the {faces.classes} classes", "count classes again"
    )
    empty = faces.classes - len(np.unique(found))
    if empty:
        raise Warned(f"{empty} of {faces.classes} classes have no image → number the people without gaps")
    return "every class has images"


def repeat(subject: Subject) -> str:
    """Opened again it has the same records in the same order."""
    first, again = _open(subject), _open(subject)
    for index in _sample(len(first)):
        require(
            _same(first[index], again[index]) and _same(first[index], first[index]),
            f"record {index} is another one when it is read again",
            "sort what a directory lists, and draw nothing at random",
        )
    return "the same records again"


def threads(subject: Subject) -> str:
    """Read by eight threads at once every record is what it is when read alone."""
    faces = _open(subject)
    chosen = _sample(len(faces))
    alone = {index: faces[index] for index in chosen}
    shuffled = [chosen[(7 * n) % len(chosen)] for n in range(4 * len(chosen))]
    with ThreadPoolExecutor(_THREADS) as pool:
        for index, record in zip(shuffled, pool.map(faces.__getitem__, shuffled), strict=True):
            require(
                _same(record, alone[index]),
                f"read by several threads, record {index} is another one",
                "share no file position or buffer: os.pread, a mapped file, or a file opened per read",
            )
    return f"{_THREADS} threads, {len(shuffled)} reads"


def verification(subject: Subject) -> str:
    """Every verification set has two images a pair, pairs of both kinds, and images that decode."""
    facts, faces = _facts(subject), _open(subject)
    for name, pairs in faces.verification.items():
        same: NDArray[Any] = np.asarray(pairs.same)
        pictures = pairs.images
        require(same.dtype == np.bool_ and same.ndim == 1, f"{name}: same is {same.dtype}", "give bool (P,)")
        require(
            len(pictures) == 2 * len(same),
            f"{name} has {len(pictures)} images for {len(same)} pairs",
            "images 2i and 2i + 1 are pair i",
        )
        require(
            len(same) == facts.verification[name],
            f"{name} has {len(same)} pairs and inspect() says {facts.verification[name]}",
            "count one way in both",
        )
        require(
            same.any() and not same.all(),
            f"{name} has pairs of one kind only",
            "give pairs of one person and pairs of two",
        )
        for index in _sample(len(pictures), 20):
            _check_image(pictures[index], facts.image_size, f"{name} image {index}")
    if not faces.verification:
        raise Warned("it has no verification set → accuracy can't be measured while training")
    return ", ".join(f"{name} {pairs:,} pairs" for name, pairs in facts.verification.items())


def _check_image(image: Image, size: tuple[int, int], source: str) -> str:
    """Name the kind of the image, ``JPEG``, ``PNG``, …; raises `Failed` if it is none of `size`."""
    if isinstance(image, np.ndarray) and image.ndim > 1:
        require(
            image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3,
            f"{source}: an array {image.dtype} {image.shape} is no image",
            "give uint8 RGB (H, W, 3)",
        )
        pixels: Any = image
        kind = "arrays"
    else:
        pixels, kind = _decoded(np.frombuffer(image, np.uint8)), _magic(bytes(image[:12]))
        require(
            pixels is not None, f"{source}: these {len(image)} bytes are no whole image", "give JPEG or PNG"
        )
    require(
        tuple(pixels.shape[:2]) == tuple(size),
        f"{source}: the image is {pixels.shape[1]}×{pixels.shape[0]}, not {size[1]}×{size[0]}",
        "align or resize, or correct image_size",
    )
    return kind


def _decoded(data: NDArray[np.uint8]) -> Any:
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(36_000_000))
    import cv2

    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        return None


def _magic(head: bytes) -> str:
    known = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"BM": "BMP", b"RIFF": "WebP"}
    return next((name for magic, name in known.items() if head.startswith(magic)), "files")


def _same(a: Record, b: Record) -> bool:
    if a.label != b.label or a.source != b.source:
        return False
    if isinstance(a.image, np.ndarray) or isinstance(b.image, np.ndarray):
        return bool(np.array_equal(np.asarray(a.image), np.asarray(b.image)))
    return bytes(a.image) == bytes(b.image)


def _sample(length: int, most: int = _SAMPLE) -> list[int]:
    """Indices from the first to the last, evenly."""
    count = min(length, most)
    return sorted({(length - 1) * n // max(count - 1, 1) for n in range(count)})


def _declared(subject: Subject) -> Dataset:
    assert isinstance(subject.declaration, Dataset)
    return subject.declaration


def _path(subject: Subject) -> str:
    given = subject.options.get("path")
    if not given:
        raise Failed(
            "it is checked with data and was given no directory", "check(path=directory), or --path DIR"
        )
    return str(given)


def _positional(subject: Subject) -> Iterable[str]:
    return [_path(subject)] if _declared(subject).takes_path else []


def _facts(subject: Subject) -> DatasetFacts:
    return _declared(subject).make_facts(*_positional(subject), **subject.settings())


def _open(subject: Subject) -> FaceDataset:
    faces: FaceDataset = subject.factory()(*_positional(subject), **subject.settings())
    return faces


CHECKS: tuple[Callable[[Subject], str], ...] = (
    path,
    inspect,
    contents,
    records,
    images,
    labels,
    repeat,
    threads,
    verification,
)
