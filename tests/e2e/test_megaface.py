"""The whole of MegaFace by the commands of docs/megaface.md, and once more through the console."""

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
from tests.e2e.conftest import PATIENCE, Console
from tests.e2e.faces2018 import write_facescrub, write_megaface
from tests.e2e.test_kill import processes
from tests.e2e.tmux import Terminal
from tests.jobs import save_weights

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs" / "megaface.md"
LISTS = ("facescrub_features_list.json", "megaface_features_list.json")


def commands() -> dict[str, list[str]]:
    """The lines of the page by what they make."""
    section = PAGE.read_text(encoding="utf-8").partition("## From photos to a score")[2]
    lines = re.findall(r"^    (arcterm (?:.*\\\n)*.*)$", section.split("\n## ")[0], re.M)
    words = [shlex.split(line.replace("\\\n", " "))[1:] for line in lines]
    return {each[2] if each[0] == "align" else each[1]: each for each in words}


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory, test_data, plugins):
    """A folder in which the commands of the page were done, the export killed once; and what they said."""
    folder = tmp_path_factory.mktemp("megaface")
    arcterm, orl = Console(folder, plugins), test_data("faces/orl")
    (detector,) = test_data("yunet").glob("*.onnx")
    shutil.copy(detector, folder / "yunet.onnx")
    _, probes = write_facescrub(folder / "facescrub", orl)
    distractors = write_megaface(folder / "megaface", orl, range(5, 17))
    (folder / "facescrub_noises.txt").write_text(f"#comment\r\n{Path(probes[3]).name}\r\nNobody_1.png\r\n")
    noise = [*distractors[:3], "1/2@N00/3.jpg"]
    (folder / "megaface_noises.txt").write_text("#comment\n" + "\n".join(noise) + "\n")
    save_weights(folder / "model.pth", 128)
    said = {}
    for made, words in commands().items():
        if made == "export":
            said[made] = kill_once(arcterm, [*words, "--nproc", "2"])
        else:
            done = arcterm(*words)
            said[made] = done.stdout + done.stderr
    return arcterm, said


def kill_once(arcterm: Console, words: list[str]) -> str:
    """Start an export, kill all of its processes once it embeds, and let it go on."""
    started = arcterm.json(*words, "--detach")["id"]
    run = str(arcterm.path(started))
    deadline = time.monotonic() + PATIENCE
    while not list(arcterm.folder.glob(".features.*/*.npy")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for process in processes("arcterm", run):
        process.kill()
    assert not (arcterm.folder / "features").exists()
    done = arcterm("resume", started, "--plain")
    return done.stdout + done.stderr


def test_photos_become_a_score_by_the_commands_of_the_page(rehearsed):
    arcterm, said = rehearsed
    assert "aligned 32 of 32 photos" in said["fs"] and "aligned 60 of 60 photos" in said["mf"]
    assert "MegaFace: features of 60 of 60 images" in said["export"]
    assert "1 of 32 images are noise" in said["clean"] and "Nobody_1.png" in said["clean"]
    rows = np.load(arcterm.folder / "features" / "megaface.npy")
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(60), atol=1e-5)
    result = json.loads((arcterm.folder / "result" / "result.json").read_text())["results"]
    for kind, removed in (("raw", 0), ("cleaned", 3)):
        small, whole = result[kind]["galleries"]
        assert (small["distractors"], whole["distractors"], whole["removed"]) == (10, 60, removed)
        assert whole["trials"] == 4 * 8 * 7
        assert whole["identification"]["rank_1"] <= small["identification"]["rank_1"]
        assert f"{kind}: 32 probes of 4 people" in said["score"]
    raw, cleaned = (result[kind]["galleries"][1]["identification"] for kind in ("raw", "cleaned"))
    assert cleaned != raw and raw["rank_1"] == pytest.approx(rank_1(arcterm.folder))
    names = {path.name for path in (arcterm.folder / "result").rglob("*")}
    assert {"index.html", "cmc.svg", "roc.svg", "cmc_facescrub_megaface_arcterm_60_1.json"} <= names


def rank_1(folder: Path) -> float:
    """Count by brute force: a mate is nearer than every distractor."""
    probes, distractors = (np.load(folder / "features" / f"{name}.npy") for name in ("facescrub", "megaface"))
    people = np.repeat(np.arange(4), 8)
    mates = probes.astype(np.float64) @ probes.T.astype(np.float64)
    nearest = (probes.astype(np.float64) @ distractors.T.astype(np.float64)).max(1)
    genuine = (people[:, None] == people) & ~np.eye(32, dtype=bool)
    return float((mates > nearest[:, None])[genuine].mean())


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: no real terminal to test in")
def test_the_console_exports_cleans_and_scores(rehearsed):
    arcterm, _ = rehearsed
    terminal = Terminal(arcterm)
    try:
        terminal.run("tui", "--runs-dir", "console", size=(160, 45))
        terminal.wait("N new run")
        sets = ("fs", LISTS[0], "mf", LISTS[1])
        start(terminal, "megaface export", ["model.pth", "features2", *sets])
        terminal.wait("MegaFace: features of 60 of 60 images")
        assert tree(arcterm.folder / "features2") == tree(arcterm.folder / "features")
        noises = ("facescrub_noises.txt", "megaface_noises.txt")
        start(terminal, "megaface clean", ["features2", "mask2", *noises])
        terminal.wait("mask2/mask.json")
        start(terminal, "megaface score", ["features2", *LISTS, "result2"])
        terminal.wait("MegaFace: identification", "raw: 32 probes of 4 people", "✓ done")
        terminal.press("c")
        terminal.wait("MegaFace: verification")
    finally:
        terminal.close()
    assert (arcterm.folder / "result2" / "index.html").is_file()


def start(terminal: Terminal, job: str, fields: list[str]) -> None:
    """Choose a job in the console's list, fill in the first fields of its form, and start it."""
    terminal.press("6")
    terminal.wait("n new job")
    terminal.press("n")
    terminal.wait("▸ pack")
    terminal.press("G")
    terminal.wait("▸ show")
    deadline = time.monotonic() + PATIENCE
    while f"▸ {job}" not in terminal.screen():
        before = terminal.screen()
        terminal.press("k")
        while terminal.screen() == before:
            assert time.monotonic() < deadline
    terminal.press("Enter")
    terminal.wait("^g launch")
    for text in fields:
        terminal.press(text)
        terminal.press("Tab")
    terminal.wait("ready: ^g or F5 starts it")
    terminal.press("C-g")
    terminal.wait(f" {job} ")
