"""The people of a gallery, and the pictures that are searched for them."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arcterm.align.photos import find_photos
from arcterm.errors import ConfigError
from arcterm.files import Stamp
from arcterm.formats.people import find_people
from arcterm.search.counting import Whole


class People(NamedTuple):
    """The people of a gallery, and their images' paths; `owners` (G,) are places in `names`, ascending.

    `ignored` counts files that are no image in a person's folder.
    """

    folder: Path
    names: list[str]
    files: list[Path]
    owners: Whole
    ignored: int = 0


class Probes(NamedTuple):
    """Pictures below `folder`, with labels (P,) that say who is on each.

    A label is a person's place in the gallery, `STRANGER` for another person, or `UNKNOWN`.
    """

    folder: Path
    names: list[str]
    labels: Whole

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in self.names]

    @property
    def labelled(self) -> bool:
        return bool((self.labels != UNKNOWN).any())


STRANGER, UNKNOWN = -1, -2

_NAMED = 10


def read_people(folder: Path) -> People:
    """List a folder with one folder of images per person; raises `DataError`, also for one without any."""
    found = find_people(folder)
    people = found.people
    owners = np.repeat(np.arange(len(people)), [len(person.images) for person in people])
    files = [file for person in people for file in person.images]
    return People(folder, [person.name for person in people], files, owners, found.ignored)


def read_probes(place: Path, people: People, labels: str) -> Probes:
    """Find the pictures of a folder of any depth, or the one at `place`, and their labels.

    With `labels` ``folders`` a label is the first folder of a picture's path, with ``none`` all are unknown;
    empty means ``folders`` if one of them is called as a person of the gallery. Raises `DataError` if there
    is no picture, `ConfigError` for ``folders`` if none lies in one.
    """
    photos = find_photos(place)
    tops = [name.partition("/")[0] if "/" in name else "" for name in photos.names]
    places = {name: number for number, name in enumerate(people.names)}
    if labels == "folders" and not any(tops):
        raise ConfigError(
            f"{place} has no folder of a person", "leave out --labels, or put each person's into a folder"
        )
    if labels == "none" or (not labels and not any(top in places for top in tops)):
        return Probes(photos.root, photos.names, np.full(len(tops), UNKNOWN))
    found = [places.get(top, STRANGER) if top else UNKNOWN for top in tops]
    return Probes(photos.root, photos.names, np.array(found, np.int64))


def find_doubts(people: People, probes: Probes) -> list[str]:
    """Say what of a gallery and of its probes may be other than was meant."""
    doubts = []
    if people.ignored:
        doubts.append(
            f"{people.ignored:,} file{'s' * (people.ignored != 1)} of the gallery are left out: no image, or "
            "not in a person's own folder"
        )
    gallery, root = people.folder.resolve(), probes.folder.resolve()
    known = {gallery / file.relative_to(people.folder) for file in people.files}
    if same := sum(root / name in known for name in probes.names):
        doubts.append(f"{same:,} of the pictures are the gallery's own: each is compared with itself too")
    alike = {_plain(name): name for name in people.names}
    labels = {
        name.partition("/")[0]
        for name, label in zip(probes.names, probes.labels, strict=True)
        if label == STRANGER
    }
    doubts += [
        f"{label} is taken for a stranger: the gallery has {alike[_plain(label)]}, written in another way"
        for label in sorted(labels)
        if _plain(label) in alike
    ][:_NAMED]
    return doubts


def _plain(name: str) -> str:
    """A name without differences that one does not see, or hardly."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def stamp_of(people: People, probes: Probes) -> Stamp:
    """Names of all images, to be compared with those of another time.

    Raises `UnicodeEncodeError` for a name that is not UTF-8, which no result could have.
    """
    rows: Stamp = []
    for folder, files in ((people.folder, people.files), (probes.folder, probes.files)):
        digest = hashlib.sha256()
        for file in files:
            digest.update(str(file).encode() + b"\0")
        rows.append([str(folder), digest.hexdigest()])
    return rows
