"""Invented sets of the shape in which IJB-B and IJB-C are passed on."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from arcterm.faces.similarity import template

NAMES = {"B": ("S1", "S2"), "C": ("G1", "G2")}


class InventedIjb:
    """A set of `people` in ``IJBB`` or ``IJBC`` below `root`; images of noise, each person's about one.

    A person has a gallery template and two probe templates, with ids that are neither dense nor in order.
    People are in the two galleries by turns; media ids occur in several templates.
    """

    def __init__(self, root: Path, letter: str = "C", people: int = 6, seed: int = 0) -> None:
        self.folder, self.letter = root / f"IJB{letter}", letter
        self.rng = np.random.default_rng(seed)
        self.names, self.templates, self.media = list[str](), list[int](), list[int]()
        self.points, self.scores = list[np.ndarray](), list[float]()
        self.enrolled = {500_000 + 17 * person: person for person in reversed(range(people))}
        self.probes = {7 + 31 * person + 900 * n: person for person in range(people) for n in range(2)}
        (self.folder / "loose_crop").mkdir(parents=True)
        (self.folder / "meta").mkdir()
        for id_, person in {**self.enrolled, **self.probes}.items():
            for number in range(1 + int(self.rng.integers(3))):
                self._add(id_, 50 + number // 2, person)
        self.write()

    def _add(self, id_: int, media: int, person: int) -> None:
        name = f"{len(self.names) + 1}.jpg"
        turn, scale = self.rng.uniform(-0.3, 0.3), self.rng.uniform(0.6, 1.1)
        matrix = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        shift = self.rng.uniform(10, 30, 2)
        base = np.random.default_rng(person).integers(0, 256, (14, 14, 3), np.uint8)
        face = cv2.resize(base, (112, 112), interpolation=cv2.INTER_CUBIC)
        noise = self.rng.integers(-20, 20, (160, 150, 3))
        placed = cv2.warpAffine(face, np.column_stack([matrix, shift]), (150, 160))
        pixels = np.clip(placed + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(self.folder / "loose_crop" / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
        self.names.append(name)
        self.templates.append(id_)
        self.media.append(media)
        self.points.append(np.round(template() @ matrix.T + shift, 3))
        self.scores.append(round(float(self.rng.uniform(0.1, 1)), 4))

    def write(self) -> None:
        """Write all text files."""
        rows = list(zip(self.names, self.templates, self.media, strict=True))
        self.write_lines("face_tid_mid.txt", [f"{name} {id_} {media}" for name, id_, media in rows])
        self.write_lines(
            "name_5pts_score.txt",
            [
                " ".join([name, *(f"{value:.3f}" for value in points.ravel()), f"{score}"])
                for name, points, score in zip(self.names, self.points, self.scores, strict=True)
            ],
        )
        self.pairs = [
            (left, right, int(person == other))
            for left, person in self.enrolled.items()
            for right, other in self.probes.items()
        ]
        self.write_lines("template_pair_label.txt", ["{} {} {}".format(*pair) for pair in self.pairs])
        for turn, name in enumerate(NAMES[self.letter]):
            self._write_csv(
                f"1N_gallery_{name}.csv", {i: p for i, p in self.enrolled.items() if p % 2 == turn}
            )
        self._write_csv("1N_probe_mixed.csv", self.probes)

    def _write_csv(self, name: str, subjects: dict[int, int]) -> None:
        """One row an image, as published."""
        rows = [
            f"{id_},{200 + subjects[id_]},img/{image},{number}"
            for number, (image, id_) in enumerate(zip(self.names, self.templates, strict=True))
            if id_ in subjects
        ]
        self.write_lines(name, ["TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID", *rows])

    def path(self, name: str) -> Path:
        """Path of a text file, ``face_tid_mid.txt``."""
        return self.folder / "meta" / f"ijb{self.letter.lower()}_{name}"

    def write_lines(self, name: str, lines: list[str]) -> None:
        """Write a text file."""
        self.path(name).write_text("".join(f"{line}\n" for line in lines))

    def lines(self, name: str) -> list[str]:
        """Read a text file."""
        return self.path(name).read_text().splitlines()
