"""The people of a gallery, and the pictures that are searched for them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arcterm.align.photos import find_photos
from arcterm.errors import ConfigError
from arcterm.files import Stamp
from arcterm.formats.people import find_people
from arcterm.search.counting import Whole


class People(NamedTuple):
    """The people of a gallery, and their images' paths; `owners` (G,) are places in `names`, ascending."""

    folder: Path
    names: list[str]
    files: list[Path]
    owners: Whole


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


def read_people(folder: Path) -> People:
    """List a folder with one folder of images per person; raises `DataError`, also for one without any."""
    people = find_people(folder).people
    owners = np.repeat(np.arange(len(people)), [len(person.images) for person in people])
    files = [file for person in people for file in person.images]
    return People(folder, [person.name for person in people], files, owners)


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
