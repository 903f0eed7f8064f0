"""Packs of a few people, as 2018's script found them: verification sets beside the images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.launch import plan

from ..inprocess import in_process

PEOPLE, EACH = 6, 26
FIVE = {
    "r100": "--network r100 --loss-type 4 --margin-m 0.5 --data-dir ../datasets/faces_ms1m_112x112 "
    "--prefix ../model-r100",
    "r50": "--network r50 --loss-type 2 --margin-m 0.35 --data-dir ../datasets/faces_ms1m_112x112 "
    "--prefix ../model-r50",
    "m1": "--network m1 --loss-type 0 --data-dir ../datasets/faces_ms1m_112x112 --prefix ../model-m1-softmax",
    "triplet": "--network m1 --loss-type 12 --lr 0.005 --mom 0.0 --per-batch-size 150 "
    "--data-dir ../datasets/faces_ms1m_112x112 --pretrained ../model-m1-softmax,50 "
    "--prefix ../model-m1-triplet",
    "p107": "--network p107 --loss-type 0 --per-batch-size 64 --data-dir ../datasets/faces_ms1m_112x112 "
    "--prefix ../model-p107-softmax",
}
"""The commands of the README of February 2018."""


def write_faces(place: Path, sets: tuple[str, ...], people: int = PEOPLE, each: int = EACH) -> None:
    """Write a pack and verification `sets` of ten pairs each."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (people, 7, 7, 3))

    def picture(face: int) -> bytes:
        coarse = 0.6 * faces[face] + 0.4 * rng.integers(0, 255, (7, 7, 3))
        return encode_jpeg(np.ascontiguousarray(np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)))

    with write_pack(place) as pack:
        for label in range(people):
            for _ in range(each):
                pack.add(picture(label), label)
    for name in sets:
        same = [number % 2 == 0 for number in range(10)]
        shown = [picture((n + (second and not same[n])) % people) for n in range(10) for second in (0, 1)]
        write_pairs(place / f"{name}.bin", shown, same)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that has ``datasets`` and ``src``, in which the commands are typed."""
    root = tmp_path_factory.mktemp("insightface")
    (root / "src").mkdir()
    (root / "datasets").mkdir()
    write_faces(root / "datasets/faces_ms1m_112x112", ("lfw", "agedb_30"))
    return root


@pytest.fixture
def type_in(
    workshop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """``type_in("train-softmax", …)`` → (exit code, stdout, stderr), typed in ``src``."""
    monkeypatch.chdir(workshop / "src")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    planned = plan.make_plan  # whose look at the memory takes seconds in a process of its own
    monkeypatch.setattr(
        plan, "make_plan", lambda settings, _, root, __, **more: planned(settings, None, root, **more)
    )
    return in_process(monkeypatch, capsys)
