"""The whole of MegaFace by the commands of docs/megaface.md: photos, features, noise, score, report."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.align.conftest import tree
from tests.e2e.conftest import PATIENCE
from tests.e2e.faces2018 import write_facescrub, write_megaface
from tests.e2e.test_kill import processes
from tests.jobs import save_weights

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs" / "megaface.md"


def commands() -> dict[str, list[str]]:
    """The lines of the page by their verb."""
    section = PAGE.read_text(encoding="utf-8").partition("## From photos to a score")[2]
    lines = re.findall(r"^    (arcterm .*)$", section.split("\n## ")[0], re.M)
    words = [shlex.split(line)[1:] for line in lines]
    return {" ".join(each[:3] if each[0] == "align" else each[:2]): each for each in words}


@pytest.fixture
def folder(arcterm, test_data):
    """Photos with their lists, lists of noise, a detector's weights and a model's."""
    folder, orl = arcterm.folder, test_data("faces/orl")
    (detector,) = test_data("yunet").glob("*.onnx")
    shutil.copy(detector, folder / "yunet.onnx")
    _, probes = write_facescrub(folder / "facescrub", orl)
    distractors = write_megaface(folder / "megaface", orl, range(5, 17))
    noise = [Path(probes[3]).name, "Nobody_1.png"]
    (folder / "facescrub_noises.txt").write_text("#comment\r\n" + "\r\n".join(noise) + "\r\n")
    (folder / "megaface_noises.txt").write_text(
        "#comment\n" + "\n".join([*distractors[:3], "1/2@N00/3.jpg"]) + "\n"
    )
    save_weights(folder / "model.pth", 128)
    return folder


def test_photos_become_a_score_by_the_commands_of_the_page(arcterm, folder):
    lines = commands()
    said = {}
    for verb, words in lines.items():
        if verb == "megaface export":
            kill_once(arcterm, [*words[:-1], "features", "--nproc", "2", "--batch-size", "2"])
            said[verb] = ""
            continue
        done = arcterm(*words)
        said[verb] = done.stdout + done.stderr
    assert "aligned 32 of 32 photos" in said["align facescrub/downloaded fs"]
    assert "aligned 60 of 60 photos" in said["align megaface mf"]
    whole = [word if word != "features" else "whole" for word in lines["megaface export"]]
    arcterm(*whole, "--nproc", "2", "--batch-size", "2")
    assert tree(folder / "features") == tree(folder / "whole")
    rows = np.load(folder / "features" / "megaface.npy")
    assert rows.shape == (60, 128)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    check_result(folder / "result", said["megaface score"])


def kill_once(arcterm, words) -> None:
    """Start an export, kill all of its processes once it embeds, and let it go on."""
    started = json.loads(arcterm(*words, "--detach", "--json").stdout)
    run = started["path"] if "path" in started else arcterm.show(started["id"])["path"]
    deadline = time.monotonic() + PATIENCE
    while not list(arcterm.folder.glob(".*features*/*.npy")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for process in processes("arcterm", run):
        process.kill()
    assert not (arcterm.folder / "features").exists()
    assert arcterm.json("resume", started["id"])["state"] == "done"


def check_result(result: Path, said: str) -> None:
    """Look at the exact numbers, both of them, and at the report."""
    found = json.loads((result / "result.json").read_text())
    assert found and said
    names = {path.name for path in result.rglob("*")}
    assert {"index.html", "result.json"} <= names and any(name.endswith(".svg") for name in names)
