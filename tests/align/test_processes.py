"""``arcterm align`` as it is typed: real photos, YuNet, one process and two ranks, stopped and resumed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.align.conftest import photo, read, tree, write

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def arcterm(tmp_path, test_data):
    """``arcterm("align", …)``: the command line in an empty folder, where YuNet's weights are found."""
    weights = test_data("yunet/face_detection_yunet_2026may.onnx")
    env = {**os.environ, "ARCTERM_YUNET": str(weights), "ARCTERM_CACHE": str(tmp_path / "cache")}
    env.pop("ARCTERM_RUNS", None)

    def call(*words, code=0, plugins=""):
        done = subprocess.run(
            [sys.executable, "-m", "arcterm", *map(str, words)],
            cwd=tmp_path,
            env=env | {"PYTHONPATH": plugins},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture
def orl(tmp_path, test_data):
    """Four people of the ORL database."""
    for person in ("s1", "s2", "s3", "s10"):
        shutil.copytree(test_data(f"faces/orl/{person}"), tmp_path / "orl" / person)
    return tmp_path / "orl"


def test_two_ranks_write_what_one_does_and_six_faces_are_six(arcterm, orl, tmp_path, test_data):
    said = json.loads(arcterm("align", orl, "one", "--detector", "yunet", "--json").stdout)
    assert (said["photos"], said["aligned"]) == (40, 40)
    arcterm("align", orl, "two", "--detector", "yunet", "--nproc", "2")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    rows = [json.loads(line)["path"] for line in (tmp_path / "one" / "align.jsonl").read_text().splitlines()]
    assert rows[:2] == ["s1/1.pgm", "s1/2.pgm"]
    assert rows[-1] == "s10/10.pgm"
    assert read(tmp_path / "one" / "sheet.jpg").shape[1] > 1000

    six = test_data("mtcnn/six_faces.jpg")
    said = json.loads(arcterm("align", six, "six", "--faces", "all", "--detector", "yunet", "--json").stdout)
    assert (said["files"], said["several_faces"]) == (6, 1)
    assert sorted(p.name for p in (tmp_path / "six").glob("six_faces_*")) == [
        f"six_faces_{n}.jpg" for n in range(6)
    ]
    arcterm("data", "pack", "one", "pack", "--hold-out", "2", "--pairs", "20")
    assert (tmp_path / "pack" / "train.rec").stat().st_size
    arcterm("data", "pack", orl, "direct", "--align", "--detector", "yunet")
    assert (tmp_path / "direct" / "train.rec").stat().st_size


def test_what_is_wrong_with_photos_ends_with_3_and_the_rest_is_done(arcterm, orl, tmp_path):
    write(orl / "s1" / "wall.png", photo())
    (orl / "s2" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    done = arcterm("align", orl, "out", "--detector", "yunet", code=3)
    assert "aligned 40 of 42 photos by yunet" in done.stderr
    assert "s1/wall.png: no face was found" in done.stderr
    assert "s2/torn.jpg: these 3 bytes aren't a whole image" in done.stderr
    assert (tmp_path / "out" / "s3" / "1.jpg").is_file()
    assert "out already exists" in arcterm("align", orl, "out", "--detector", "yunet", code=3).stderr
    (tmp_path / "x.onnx").write_bytes(b"none")
    assert "x.onnx" in arcterm("align", orl, "new", "--weights", "x.onnx", code=3).stderr
    assert not list(tmp_path.glob("new*")) and not list(tmp_path.glob(".new*"))


MARKS = """
import os, time
from arcterm_registry import Detector
from tests.align.marks import Marks

waiting = Detector(summary="waits at a photo until a file is there", factory="waiting:Waiting")

class Waiting(Marks):
    def __init__(self, weights):
        super().__init__(weights, 3)

    def find(self, image, least):
        if image[0, 0, 0] == 99:
            open("reached", "w").close()
        while image[0, 0, 0] == 99 and not os.path.exists("go"):
            time.sleep(0.02)
        return super().find(image, least)
"""


def test_a_stopped_alignment_is_resumed_with_the_same_bytes(arcterm, tmp_path, distribution):
    site = distribution(
        "waiting", entry_points="[arcterm.detectors]\nwaiting = waiting:waiting\n", waiting=MARKS
    )
    plugins = os.pathsep.join([str(site), str(ROOT)])
    for number in range(300):
        shade = 99 if number == 250 else 90
        write(tmp_path / "photos" / f"{number}.png", photo((10, 10, 20 + number % 30), shade=shade))
    words = ["photos", "out", "--detector", "waiting", "--nproc", "2"]
    run = json.loads(arcterm("align", *words, "--detach", "--json", plugins=plugins).stdout)["id"]

    def wait(until):
        while not until(now := json.loads(arcterm("show", run, "--json", plugins=plugins).stdout)):
            assert now["state"] not in ("failed", "lost")
        return now

    wait(lambda now: (tmp_path / "reached").exists())
    arcterm("stop", run, "--no-wait", plugins=plugins)
    (tmp_path / "go").touch()
    now = wait(lambda now: now["state"] in ("stopped", "done"))
    assert now["state"] == "stopped"
    assert not (tmp_path / "out").exists()
    assert now["command"] == f"arcterm align {tmp_path}/photos {tmp_path}/out --detector waiting"
    arcterm("resume", run, plugins=plugins)
    arcterm("align", "photos", "whole", "--detector", "waiting", "--nproc", "1", plugins=plugins)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
