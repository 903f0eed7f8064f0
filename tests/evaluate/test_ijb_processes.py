"""``arcterm evaluate ijb`` as it is typed, on one rank and on two, and what two million pairs take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.ijbsets import InventedIjb
from tests.jobs import save_weights

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PAIRS, LEFT, RIGHT, IMAGES = 2_000_000, 1_250, 1_600, 60_000


def ran(folder, *words, code=0):
    environment = {key: value for key, value in os.environ.items() if key != "ARCTERM_RUNS"}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "ARCTERM_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_two_ranks_give_what_one_does(tmp_path):
    made = InventedIjb(tmp_path, people=20)
    save_weights(tmp_path / "net.pth")
    words = ["-m", "arcterm", "evaluate", "ijb", "net.pth", ".", "--batch-size", "8", "--variants", "--json"]
    found = []
    for number in (1, 2):
        more = ["--out", f"out{number}", "--features", "--nproc", number]
        found.append(json.loads(ran(tmp_path, *words, *more).stdout))
    assert found[0]["results"] == found[1]["results"] and len(found[0]["results"]) == 16
    assert found[0]["counts"]["images"] == len(made.names)
    for name in ("features.npy", "templates.npy", "scores.npy", "cmc.svg", "roc.svg"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


MEASURED = """
import json, re, sys
from pathlib import Path

import numpy as np

from arcterm.evaluate.ijb.pooling import Pooling
from arcterm.evaluate.ijb.scoring import score
from arcterm.formats.ijb.database import read_faces, read_protocol
from arcterm.formats.ijb.places import locate

class Unheard:
    def progress(self, what):
        return lambda done, total: None

places = locate(Path("."))
faces = read_faces(places)
found = score(
    faces, read_protocol(places, faces), np.load("features.npy", mmap_mode="r"), Pooling(), False, Unheard()
)
tars = found.results[0].verification.tars
# of this program alone: what the kernel counts as a process's maximum begins with that of its parent
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
json.dump([peak, found.counts.pairs, [[tar.tar, tar.accepted] for tar in tars]], sys.stdout)
"""


def test_two_million_pairs_take_less_than_a_gibibyte(tmp_path):
    write_large(tmp_path)
    peak, pairs, tars = json.loads(ran(tmp_path, "-c", MEASURED).stdout)
    assert pairs == PAIRS
    assert peak < 1024, f"{peak} MiB"
    assert [accepted for _, accepted in tars] == [1, 19, 199, 1998, 19987, 199875]
    assert tars[-1][0] == 1 and 0 < tars[0][0] < tars[2][0]


def write_large(folder):
    """Every left template with every right one, of which one in 1,600 is of the same person."""
    rng, meta = np.random.default_rng(0), folder / "meta"
    meta.mkdir()
    (folder / "loose_crop").mkdir()
    templates = np.sort(rng.integers(0, LEFT + RIGHT, IMAGES))
    templates[: LEFT + RIGHT] = np.arange(LEFT + RIGHT)
    marks = " ".join(["40.000"] * 10)
    (meta / "ijbb_face_tid_mid.txt").write_text(
        "".join(f"{i}.jpg {7 * id_} {i // 3}\n" for i, id_ in enumerate(templates.tolist()))
    )
    (meta / "ijbb_name_5pts_score.txt").write_text(
        "".join(f"{i}.jpg {marks} 0.{1 + i % 9}\n" for i in range(IMAGES))
    )
    with (meta / "ijbb_template_pair_label.txt").open("w") as file:
        for left in range(LEFT):
            file.write(
                "".join(f"{7 * left} {7 * (LEFT + right)} {int(left == right)}\n" for right in range(RIGHT))
            )
    people = rng.standard_normal((RIGHT, 1024), dtype=np.float32)
    shape = (IMAGES, 1024)
    features = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=np.float32, shape=shape)
    person = np.where(templates < LEFT, templates, templates - LEFT)
    for start in range(0, IMAGES, 4096):
        block = person[start : start + 4096]
        noise = rng.standard_normal((len(block), 1024), dtype=np.float32)
        features[start : start + 4096] = 0.25 * people[block] + noise
    features.flush()
