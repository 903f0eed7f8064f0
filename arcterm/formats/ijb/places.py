"""Where the files of IJB-B and IJB-C are, in the package that InsightFace passes on.

``IJBB`` or ``IJBC`` holds the images in ``loose_crop`` and the text files in ``meta``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from arcterm.errors import DataError

Letter = Literal["B", "C"]

LETTERS: tuple[Letter, ...] = ("B", "C")
GALLERIES: dict[str, tuple[str, str]] = {"B": ("S1", "S2"), "C": ("G1", "G2")}


class Places(NamedTuple):
    """Where a database's files are; `galleries` and `probes` are empty and None without identification."""

    letter: Letter
    images: Path
    templates: Path
    landmarks: Path
    pairs: Path
    galleries: dict[str, Path]
    probes: Path | None
    absent: tuple[str, ...]

    @property
    def name(self) -> str:
        """``IJB-B`` or ``IJB-C``."""
        return f"IJB-{self.letter}"

    @property
    def files(self) -> list[Path]:
        """All text files that are read."""
        last = [] if self.probes is None else [*self.galleries.values(), self.probes]
        return [self.templates, self.landmarks, self.pairs, *last]


def locate(root: Path, letter: Letter | Literal[""] = "") -> Places:
    """Find the files below `root`, the folder that holds ``IJBB`` or ``IJBC``, or that folder itself.

    Without `letter` the database is the one that is there. Raises `DataError` naming what is missing.
    """
    found = [(one, folder) for one in LETTERS if (folder := _folder(root, one)) and letter in ("", one)]
    if not found:
        wanted, one = (f"IJB{letter}", letter.lower()) if letter else ("IJBB or IJBC", "[bc]")
        raise DataError(
            f"{root} is not {wanted}: there is no meta/ijb{one}_face_tid_mid.txt in it",
            "give the folder that holds IJBB or IJBC, or that folder, with meta and loose_crop in it",
        )
    if len(found) > 1:
        raise DataError(f"{root} holds IJBB and IJBC", "say which with --database B or C")
    one, folder = found[0]
    return _places(one, folder)


def _folder(root: Path, letter: str) -> Path | None:
    for folder in (root / f"IJB{letter}", root):
        if (folder / "meta" / f"ijb{letter.lower()}_face_tid_mid.txt").is_file():
            return folder
    return None


def _places(letter: Letter, folder: Path) -> Places:
    prefix, meta = f"ijb{letter.lower()}", folder / "meta"
    needed = [
        meta / f"{prefix}_{name}.txt" for name in ("face_tid_mid", "name_5pts_score", "template_pair_label")
    ]
    missing = [str(path) for path in needed if not path.is_file()]
    if not (folder / "loose_crop").is_dir():
        missing.append(str(folder / "loose_crop"))
    if missing:
        raise DataError(f"IJB-{letter} is not complete: there is no {', no '.join(missing)}", "copy it again")
    galleries = {name: meta / f"{prefix}_1N_gallery_{name}.csv" for name in GALLERIES[letter]}
    probes = meta / f"{prefix}_1N_probe_mixed.csv"
    absent = tuple(path.name for path in (*galleries.values(), probes) if not path.is_file())
    whole = not absent
    return Places(
        letter,
        folder / "loose_crop",
        needed[0],
        needed[1],
        needed[2],
        galleries=galleries if whole else {},
        probes=probes if whole else None,
        absent=absent,
    )
