"""Protocols that are more than one list: RFW's and CFP's folders, AgeDB's ``.mat``.

`read_protocol` reads whatever stands at a path, a list of pairs too.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from arcterm.errors import DataError
from arcterm.formats.pairs.matfile import Matrix, read_mat
from arcterm.formats.pairs.pairing import BLOCKS, interleave
from arcterm.formats.pairs.pairlines import ListedPair, is_number
from arcterm.formats.pairs.pairlists import PairList, read_lines, read_pair_list

_LIST = "_pairs.txt"
_SPLIT = ("same.txt", "diff.txt")
_ABOUT = "give a list of pairs, a folder with GROUP/GROUP_pairs.txt, CFP's Protocol/Split/FP, or AgeDB's .mat"
_AGEDB = "the variable `splits` has, for each fold, a 2×N cell of images and N numbers, 1 for same and -1"


def read_protocol(path: Path, folder: Path) -> PairList:
    """Read the pairs at `path` of images below `folder`; raises `DataError`.

    A path of an image that the protocol gives from a root of its own begins with ``/``.
    """
    if path.suffix.lower() == ".mat":
        return _read_agedb(path)
    if not path.is_dir():
        return read_pair_list(path, folder)
    if lists := _group_lists(path):
        return _read_groups(lists, folder)
    if any((path / "01" / name).is_file() for name in _SPLIT):
        return _read_cfp(path)
    splits = [part for part in (path / "Split" / "FF", path / "Split" / "FP") if part.is_dir()]
    if splits:
        raise DataError(
            f"{path} has several protocols", f"give one: {' or '.join(f'--list {part}' for part in splits)}"
        )
    raise DataError(f"{path} is a folder without a protocol", _ABOUT)


def _group_lists(path: Path) -> dict[str, Path]:
    """RFW's lists by group: ``GROUP/GROUP_pairs.txt``, or ``GROUP_pairs.txt``."""
    found = sorted([*path.glob(f"*{_LIST}"), *path.glob(f"*/*{_LIST}")])
    lists = {file.name.removesuffix(_LIST): file for file in found if file.is_file()}
    return {group: file for group, file in lists.items() if file.parent in (path, path / group)}


def _read_groups(lists: dict[str, Path], folder: Path) -> PairList:
    """One set of a list a group; a tenth of each list follows that of another, so that folds are alike.

    Where `folder` has a folder for each group, images are below that.
    """
    parts = []
    shapes = set()
    for group, file in lists.items():
        below = folder / group
        listed = read_pair_list(file, below if below.is_dir() else folder)
        prefix = f"{group}/" if below.is_dir() else ""
        shapes.add(listed.by_name)
        parts.append(
            [
                pair._replace(
                    a=_below(prefix, pair.a),
                    b=_below(prefix, pair.b),
                    group=pair.group or group,
                    file=file.name,
                )
                for pair in listed.pairs
            ]
        )
    if len(shapes) > 1:
        raise DataError(f"the lists in {folder} have unlike shapes", "make one set of each")
    note = f"the lists of {', '.join(lists)} are one set; each of {BLOCKS} blocks has a tenth of each"
    return PairList(interleave(parts), shapes.pop(), BLOCKS, note)


def _below(prefix: str, path: str) -> str:
    return path if path.startswith("/") else prefix + path


def _read_cfp(path: Path) -> PairList:
    """CFP: numbered folders with ``i,j`` a line, i of list F, j of the list that `path` is named after."""
    protocol = path.parent.parent
    firsts = _numbered(protocol / "Pair_list_F.txt")
    seconds = firsts if path.name.upper().endswith("FF") else _numbered(protocol / "Pair_list_P.txt")
    pairs = []
    folds = sorted(part for part in path.iterdir() if part.is_dir() and is_number(part.name))
    for fold in folds:
        for name, same in zip(_SPLIT, (True, False), strict=True):
            for line, fields in read_lines(fold / name):
                images = [images.get(field) for field, images in zip(fields, (firsts, seconds), strict=False)]
                if len(fields) != 2 or not images[0] or not images[1]:
                    raise DataError(
                        f"{fold / name} line {line}: {','.join(fields)[:80]!r} are no two numbers of images",
                        f"the numbers are those of {protocol}/Pair_list_F.txt and Pair_list_P.txt",
                    )
                pairs.append(ListedPair(images[0], images[1], same, line, file=f"{fold.name}/{name}"))
    return PairList(pairs, False, len(folds))


def _numbered(path: Path) -> dict[str, str]:
    """Images of a list by number; their paths start from the protocol's folder, which is no root here."""
    images = {}
    for line, fields in read_lines(path):
        if len(fields) < 2 or not is_number(fields[0]):
            raise DataError(f"{path} line {line}: no number and path", "get the list again")
        given = PurePosixPath(" ".join(fields[1:]).replace("\\", "/"))
        parts = [part for part in given.parts if part not in ("/", ".")]
        while parts and parts[0] == "..":
            del parts[0]
        if not parts or ".." in parts:
            raise DataError(
                f"{path} line {line}: {str(given)!r} is no path of an image", "get the list again"
            )
        images[fields[0]] = "/" + "/".join(parts)
    return images


def _read_agedb(path: Path) -> PairList:
    """AgeDB's ``04_FINAL_protocol_30_years.mat``; the images are named without an ending."""
    splits = read_mat(path).get("splits")
    if splits is None or not splits.items:
        raise DataError(f"{path} has no variable `splits`", _AGEDB)
    pairs = []
    for number, split in enumerate(splits.items, 1):
        fold = split if isinstance(split, dict) else next(iter(getattr(split, "items", ())), None)
        values = list(fold.values()) if isinstance(fold, dict) else []
        images = [value for value in values if len(value.shape) == 2 and value.shape[0] == 2 and value.items]
        labels = [value.numbers for value in values if value.numbers is not None]
        if len(images) != 1 or not labels or len(labels[0]) != images[0].shape[1]:
            raise DataError(f"{path}: fold {number} isn't pairs and labels", _AGEDB)
        for pair, label in enumerate(labels[0].tolist(), 1):
            names = [_name(images[0].items[2 * pair - 2 + side]) for side in (0, 1)]
            if label not in (1, -1, 0) or not all(names):
                raise DataError(f"{path}: pair {pair} of fold {number} has no two names and 1 or -1", _AGEDB)
            pairs.append(ListedPair(names[0], names[1], label == 1, pair, file=f"fold {number}"))
    return PairList(pairs, True, len(splits.items))


def _name(item: object) -> str:
    """The first text in a cell or structure, if it is the name of a file."""
    while isinstance(item, dict) or (isinstance(item, Matrix) and item.items):
        item = next(iter(item.values())) if isinstance(item, dict) else item.items[0]
    text = item.text if isinstance(item, Matrix) else None
    plain = text and text.isprintable() and "/" not in text and "\\" not in text and text not in (".", "..")
    return text if text and plain else ""
