"""TinyFace's testing set: two lists in MATLAB's format, and three folders of images.

``Testing_Set`` has ``probe_img_ID_pairs.mat`` and ``gallery_match_img_ID_pairs.mat``, lists of names and
identities, and the folders Probe, Gallery_Match and Gallery_Distractor. A name begins with the identity and
``_``. Copies of the images may end otherwise, so that an image is known by its folder and stem.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import Stamp, stamp
from arcterm.formats.pairs.matfile import Matrix, read_mat
from arcterm.formats.people import IMAGE_TYPES, is_junk
from arcterm.text import first_of

SUBSETS = ("Probe", "Gallery_Match", "Gallery_Distractor")
PUBLISHED = (3_728, 4_443, 153_428)
"""Images of the subsets in the set as it was published."""

_LISTS = ("probe_img_ID_pairs.mat", "gallery_match_img_ID_pairs.mat")
_VARIABLES = (("probe_set", "probe_ids"), ("gallery_set", "gallery_ids"))
_PLACES = ("", "Testing_Set", "tinyface/Testing_Set")
_NAMED = 20
_LONGEST = 40  # of a name in a message
_HINT = "get TinyFace's testing set again, or correct the list"


class TinyFace(NamedTuple):
    """Paths of the images, and the identities (N,) int64 of probes and of their matches in the gallery.

    `lists` are the two files, `notes` sentences on what is other than it was published.
    """

    probes: list[Path]
    probe_people: NDArray[np.int64]
    matches: list[Path]
    match_people: NDArray[np.int64]
    distractors: list[Path]
    lists: tuple[Path, Path]
    notes: list[str]

    @property
    def images(self) -> list[Path]:
        """Probes, matches and distractors, in this order."""
        return [*self.probes, *self.matches, *self.distractors]

    def stamp(self) -> Stamp:
        """The lists and the images' names, to be compared with those of another time.

        Raises `UnicodeEncodeError` for a name that is not UTF-8, which no result could have.
        """
        digest = hashlib.sha256()
        for path in self.images:
            digest.update(str(path).encode() + b"\0")
        return [*stamp(self.lists), [str(self.lists[0].parent), digest.hexdigest()]]


def read_tinyface(root: Path, images: Path | None = None) -> TinyFace:
    """Read the lists below `root`, and find their images there or in the folder `images` of copies.

    Raises one `DataError` that names all images which are missing, or whose name has another identity than
    the list, and for lists that can't be read.
    """
    folder = _find_lists(root)
    lists = (folder / _LISTS[0], folder / _LISTS[1])
    probes, matches = _read_lists(lists)
    files = [_by_stem((images or folder) / subset) for subset in SUBSETS]
    found = [
        _find(listed, known, subset)
        for listed, known, subset in zip((probes, matches), files, SUBSETS, strict=False)
    ]
    if lost := [name for paths in found for name in paths if isinstance(name, str)]:
        raise DataError(f"{images or folder} lacks {_count(len(lost), 'image')}: {_some(lost)}", _HINT)
    _require_mates(probes, matches, lists[1])
    paths = [[path for path in listed if isinstance(path, Path)] for listed in found]
    counts = [len(probes), len(matches), len(files[2])]
    return TinyFace(
        paths[0], _people(probes), paths[1], _people(matches), list(files[2].values()), lists, _notes(counts)
    )


class _Listed(NamedTuple):
    name: str
    person: int


def _find_lists(root: Path) -> Path:
    for place in _PLACES:
        if all((root / place / name).is_file() for name in _LISTS):
            return root / place
    raise DataError(
        f"{root} has no {' and '.join(_LISTS)}", "give the folder tinyface, or the Testing_Set in it"
    )


def _read_lists(paths: Sequence[Path]) -> list[list[_Listed]]:
    """Read both lists; raises one `DataError` for what is wrong with either."""
    read, wrong = [], list[DataError]()
    for path, names in zip(paths, _VARIABLES, strict=True):
        try:
            read.append(_read_list(path, *names))
        except DataError as error:
            wrong.append(error)
    if len(wrong) > 1:
        raise DataError("; ".join(error.message for error in wrong), _HINT)
    if wrong:
        raise wrong[0]
    return read


def _read_list(path: Path, names: str, people: str) -> list[_Listed]:
    """Read a list; raises `DataError` if a name comes twice, or begins with another identity than listed."""
    variables = read_mat(path, _HINT)
    for variable in (names, people):
        if variable not in variables:
            raise DataError(f"{path} has no variable `{variable}`", _HINT)
    texts = [_text(item) for item in variables[names].items]
    numbers = variables[people].numbers
    if not texts or numbers is None or len(numbers) != len(texts):
        raise DataError(
            f"{path}: `{names}` has {len(texts):,} names, `{people}` "
            f"{0 if numbers is None else len(numbers):,} numbers",
            _HINT,
        )
    if bad := [str(number) for number, text in enumerate(texts, 1) if not text]:
        raise DataError(f"{path}: no name stands at {_some(bad)}", _HINT)
    wide = numbers.astype(np.float64)
    if not (np.isfinite(wide) & (wide == np.floor(wide)) & (np.abs(wide) < 2**53)).all():
        raise DataError(f"{path}: `{people}` has numbers that are no identities", _HINT)
    listed = [_Listed(text, int(number)) for text, number in zip(texts, wide.tolist(), strict=True)]
    if other := [f"{each.name} is listed as {each.person}" for each in listed if not _agrees(each)]:
        raise DataError(f"{path}: {_count(len(other), 'name')} with another identity: {_some(other)}", _HINT)
    stems = Counter(_stem(each.name) for each in listed)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise DataError(f"{path} lists {_count(len(twice), 'name')} twice: {_some(twice)}", _HINT)
    return listed


def _text(item: object) -> str:
    """The text in a cell, which may lie in cells within it; empty if there is none that can be shown."""
    while isinstance(item, Matrix) and item.items:
        item = item.items[0]
    text = (item.text or "").strip() if isinstance(item, Matrix) else ""
    return text if text.isprintable() else ""


def _agrees(listed: _Listed) -> bool:
    """Whether the name begins with the identity that is listed."""
    prefix = listed.name.partition("_")[0]
    return prefix.isascii() and prefix.isdigit() and len(prefix) < 20 and int(prefix) == listed.person


def _by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, in the order of their names; raises `DataError` for two of one stem."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_junk(entry.name))
    except OSError as error:
        raise DataError(
            f"{folder} can't be listed: {error.strerror}",
            f"the folders {', '.join(SUBSETS)} lie beside the lists, or in the folder of aligned copies",
        ) from None
    found: dict[str, Path] = {}
    twice = []
    for name in names:
        stem, ending = os.path.splitext(name)  # noqa: PTH122  150,000 of them
        if ending.lower() not in IMAGE_TYPES:
            continue
        if stem in found:
            twice.append(f"{found[stem].name} and {name}")
        found[stem] = folder / name
    if twice:
        raise DataError(f"{folder} has images of one stem: {_some(twice)}", "remove one of each")
    return found


def _find(listed: Sequence[_Listed], known: dict[str, Path], subset: str) -> list[Path | str]:
    """The path of each image, or its name if there is none."""
    return [known.get(_stem(each.name), f"{subset}/{each.name}") for each in listed]


def _require_mates(probes: Sequence[_Listed], matches: Sequence[_Listed], path: Path) -> None:
    people = {each.person for each in matches}
    if alone := [each.name for each in probes if each.person not in people]:
        raise DataError(
            f"{path} has no image of the people on {_count(len(alone), 'probe')}: {_some(alone)}", _HINT
        )


def _people(listed: Sequence[_Listed]) -> NDArray[np.int64]:
    return np.array([each.person for each in listed], np.int64)


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _notes(counts: Sequence[int]) -> list[str]:
    """Sentences on numbers of images other than the published ones; sets that were cut down are legal."""
    return [
        f"{subset} has {count:,} images, {published:,} were published"
        for subset, count, published in zip(SUBSETS, counts, PUBLISHED, strict=True)
        if count != published
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _some(names: Sequence[str]) -> str:
    return first_of([name[:_LONGEST] for name in names], _NAMED)
