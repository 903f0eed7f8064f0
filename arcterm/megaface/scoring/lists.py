"""The lists that a scoring goes by: probes with whom they show, distractors in galleries of several sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import ConfigError, DataError
from arcterm.formats.features.lists import read_path_list, tail
from arcterm.megaface.listing import read_names_of, shorten
from arcterm.megaface.store import PARTS

_FILE = re.compile(r"(.*)_features_list\.json_([0-9]{1,9})_([0-9]{1,4})")
_SIZE = re.compile(r"0*[1-9][0-9]{0,18}")
_NAMED = 5


class ProbeList(NamedTuple):
    """Names of probes, and the number of the person (P,) whom each shows, numbered as they come."""

    names: list[str]
    people: NDArray[np.int64]


class Stop(NamedTuple):
    """A gallery: the `first` so many distractors of an order; the devkit names it by size and set."""

    first: int
    size: int
    set_number: int


class Order(NamedTuple):
    """Names of distractors in an order whose beginnings, at `stops`, are galleries."""

    names: list[str]
    stops: list[Stop]
    files: list[Path]


def read_probes(path: Path) -> ProbeList:
    """Read the list of probes; without ids an image shows whose folder it is in. Raises `DataError`."""
    found = read_path_list(path)
    names = [tail(each, PARTS["facescrub"]) for each in found.paths]
    people = found.people or [name.rpartition("/")[0] for name in names]
    whom = dict(zip(names, people, strict=True))
    wrong = [name for name, person in zip(names, people, strict=True) if whom[name] != person]
    if wrong:
        raise DataError(
            f"{path} has {len(wrong):,} images of two people: {shorten(wrong, _NAMED)}", "correct its ids"
        )
    numbers = {person: number for number, person in enumerate(dict.fromkeys(whom.values()))}
    return ProbeList(list(whom), np.array([numbers[person] for person in whom.values()], np.int64))


def parse_sizes(text: str) -> list[int]:
    """Parse numbers of distractors with commas between, as an ascending list; raises `ConfigError`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    sizes = sorted({int(part) for part in parts}) if all(map(_SIZE.fullmatch, parts)) else []
    if not sizes:
        raise ConfigError(f"--sizes {text!r} is no list of numbers", "give some, like 10,1000,1000000")
    return sizes


def read_distractors(path: Path, sizes: Sequence[int]) -> list[Order]:
    """Read the galleries of `sizes`: beginnings of one list, or the devkit's lists in a folder.

    Of one list that is shorter than a size the whole is a gallery. Raises `DataError`.
    """
    if path.is_dir():
        return _read_folder(path, sizes)
    names = read_names_of(path, "megaface")[0]
    counts = sorted({min(size, len(names)) for size in sizes})
    return [Order(names, [Stop(count, count, 1) for count in counts], [path])]


def _read_folder(folder: Path, sizes: Sequence[int]) -> list[Order]:
    """Read lists called ``megaface_features_list.json_SIZE_SET``.

    One that has all distractors of the last is put in an order that goes on with the last.
    """
    files = [(match, each) for each in folder.iterdir() if (match := _FILE.fullmatch(each.name))]
    there = {(int(match[3]), int(match[2])): each for match, each in files if match[1] != "facescrub"}
    wanted = sorted(key for key in there if key[1] in sizes)
    if not wanted:
        shown = ", ".join(str(size) for size in sorted({size for _, size in there})) or "none"
        raise DataError(
            f"{folder} has no list of distractors of a size that is asked for; sizes there: {shown}",
            "give a folder with megaface_features_list.json_1000_1 and others, and --sizes that are in it",
        )
    orders: list[Order] = []
    for set_number, size in wanted:
        path = there[set_number, size]
        names = read_names_of(path, "megaface")[0]
        if len(names) != size:
            raise DataError(
                f"{path} has {len(names):,} distractors, not {size:,}",
                "copy it again, or give the file itself",
            )
        last = orders[-1] if orders and orders[-1].stops[-1].set_number == set_number else None
        if last is not None and set(last.names) <= set(names):
            new = dict.fromkeys(last.names) | dict.fromkeys(names)
            orders[-1] = Order(list(new), [*last.stops, Stop(size, size, set_number)], [*last.files, path])
        else:
            orders.append(Order(names, [Stop(size, size, set_number)], [path]))
    return orders
