"""Plug-ins of others from installation to a trained run: the examples, and what `plugins new` writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from arcterm.console.app import Console as Textual
from arcterm.scaffold import GROUPS, module_of
from tests.console.conftest import screen_text

from .conftest import ROOT, Console

pytestmark = pytest.mark.slow
EXAMPLES = {"backbone": "plain", "loss": "fading", "dataset": "arrays"}
PIP = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]


def own_tests(folder, arcterm):
    """The output of a package's own tests, with what is installed there and without our settings."""
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run(
        [*command, "--rootdir", str(folder), str(folder)],
        env=arcterm.env,
        cwd=arcterm.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """A directory of the example data set: eight people with six pictures each, and twenty pairs."""
    place = tmp_path_factory.mktemp("arrays")
    random = np.random.default_rng(0)
    faces = random.integers(40, 215, (8, 112, 112, 3))
    pictures = faces[np.arange(48) % 8] + random.integers(-40, 40, (48, 112, 112, 3))
    np.savez(
        place / "faces.npz",
        images=pictures.astype(np.uint8),
        labels=np.arange(48) % 8,
        pairs=random.integers(0, 255, (20, 2, 112, 112, 3), dtype=np.uint8),
        same=np.arange(20) % 2 == 0,
    )
    return place


@pytest.mark.parametrize("kind", [*EXAMPLES, "job", "launcher"])
def test_an_example_passes_its_own_tests(arcterm, kind):
    told = own_tests(ROOT / "examples" / f"arcterm-{kind}", arcterm)
    assert " passed" in told
    assert "SKIPPED" not in told


def test_a_launcher_of_a_package_says_what_it_would_hand_in(arcterm, pack):
    told = arcterm.json(
        "train", "tiny", "arcface", "--dataset", str(pack), "--launcher", "pytorchjob", "--dry-run",
        "--set", "launcher.hosts=2", "--set", "launcher.image=it's:1", "--batch-size", "8",
    )  # fmt: skip
    manifest = json.loads(told["submission"])
    assert manifest["kind"] == "PyTorchJob"
    worker = manifest["spec"]["pytorchReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    assert (worker["replicas"], container["image"]) == (1, "it's:1")
    assert container["command"][1:] == ["-m", "arcterm.processes.host", str(arcterm.folder / "runs" / "RUN")]
    refused = arcterm(
        "train", "tiny", "arcface", "--dataset", str(pack), "--launcher", "pytorchjob", "--batch-size", "8",
        code=2,
    )  # fmt: skip
    assert "no container image is given" in refused.stderr and "give launcher.image" in refused.stderr
    assert not (arcterm.folder / "runs").exists()


def test_the_examples_are_checked_and_trained_together(arcterm, arrays):
    for kind, name in EXAMPLES.items():
        path = ["--path", str(arrays)] if kind == "dataset" else []
        told = arcterm.json("plugins", "check", name, "--quick", *path)
        assert told["passed"], told
        assert told["kind"] == kind
    told = arcterm.json(
        "train", "plain", "fading", "--margin", "0.4", "--dataset", str(arrays), "--batch-size", "8",
        "--steps", "6", "--verify-every", "3", "--nproc", "1", "--name", "strangers",
    )  # fmt: skip
    assert (told["state"], told["step"]) == ("done", 6)
    assert told["config"]["dataset"] == "arrays"
    assert told["verification"]["pairs"]["pairs"] == 20
    assert [saved["step"] for saved in told["checkpoints"]] == [3, 6]
    record = json.loads((arcterm.path("strangers") / "run.json").read_text())
    assert {p["distribution"] for p in record["plugins"]} == {
        "arcterm-plain",
        "arcterm-fading",
        "arcterm-arrays",
    }


def test_what_new_writes_installs_passes_its_tests_and_trains(tmp_path, people):
    arcterm = Console(tmp_path, tmp_path / "site")
    for kind in GROUPS:
        arcterm("plugins", "new", kind, f"my-{kind}")
    packages = [tmp_path / f"arcterm-my-{kind}" for kind in GROUPS]
    for ruff in (["check"], ["format", "--check"]):
        subprocess.run([sys.executable, "-m", "ruff", *ruff, "--isolated", *packages], check=True)
    subprocess.run([*PIP, "--target", str(tmp_path / "site"), *map(str, packages)], check=True)
    identities = [place for place in people.iterdir() if place.is_dir()]
    counted = arcterm.json("job", "my-job", str(people))
    assert counted["images"] == {place.name: len(list(place.iterdir())) for place in identities}
    for package in packages:
        told = own_tests(package, arcterm)
        assert "SKIPPED" not in told

    rows = [f"{file.relative_to(people)},{file.parent.name}\n" for file in sorted(people.glob("p?/*.png"))]
    table = tmp_path / "listed"
    table.mkdir()
    (table / "faces.csv").write_text("".join(str(people / row) for row in rows))
    told = arcterm.json("plugins", "check", "my-dataset", "--path", str(table))
    assert told["passed"], told
    told = arcterm.json(
        "train", "my-backbone", "my-loss", "--margin", "0.2", "--dataset", str(table), "--batch-size", "8",
        "--steps", "3", "--nproc", "1", "--set", "backbone.embedding_size=64", "--name", "mine",
    )  # fmt: skip
    assert (told["state"], told["step"]) == ("done", 3)
    assert told["config"]["dataset"] == "my-dataset"
    record = json.loads((arcterm.path("mine") / "run.json").read_text())
    assert {module_of(p["name"]) for p in record["plugins"]} == {
        f"arcterm_my_{kind}" for kind in GROUPS if kind not in ("job", "detector", "tracker", "launcher")
    }


async def until(pilot, holds):
    for _ in range(6000):
        if holds():
            return
        await pilot.pause(0.01)
    raise AssertionError(f"still not so: {screen_text(pilot.app)}")


@pytest.fixture
def identities(tmp_path):
    """Five identities with two images and a copy each; the third one's second image waits for a writer."""
    for number in range(5):
        folder = tmp_path / "faces" / f"id{number}"
        folder.mkdir(parents=True)
        for image in ("a", "b", "copy"):
            folder.joinpath(image).write_bytes(f"{number} {image[0]}".encode())
        shutil.copy(folder / "a", folder / "copy")
    (tmp_path / "faces" / "id2" / "b").unlink()
    os.mkfifo(tmp_path / "faces" / "id2" / "b")
    return tmp_path / "faces"


def test_a_job_of_a_package_is_listed_run_stopped_and_resumed(arcterm, identities):
    assert [
        plugin["name"] for plugin in arcterm.json("plugins", "job") if plugin["distribution"] != "arcterm"
    ] == ["count-identities"]
    assert "Count the images of each identity" in arcterm("job", "--help").stdout
    assert "--least" in arcterm("job", "count-identities", "--help").stdout
    run = arcterm.json("job", "count-identities", str(identities), "--least", "3", "--detach")["id"]
    arcterm.wait(run, lambda now: now["phase"] and now["phase"]["done"] == 1)
    arcterm("stop", run, "--no-wait")
    (identities / "id2" / "b").write_bytes(b"")
    told = arcterm.wait(run, lambda now: now["state"] == "stopped")
    assert told["command"] == f"arcterm job count-identities {identities} --least 3"
    (identities / "id2" / "b").unlink()
    (identities / "id2" / "b").write_bytes(b"2 b")
    shutil.rmtree(identities / "id0")  # counted before the stop, so nobody looks at it again
    (identities / "id0").mkdir()
    told = arcterm("resume", run, code=3)
    assert "5 identities, 10 images" in told.stdout
    assert "few images: id4" in told.stdout
    assert arcterm.show(run)["state"] == "done"
    (row,) = [row for row in arcterm.json("runs") if row["id"] == run]
    assert (row["attempt"], row["report"]["problems"]) == (2, 5)
    plugins = json.loads((arcterm.path(run) / "run.json").read_text())["plugins"]
    assert [(p["kind"], p["distribution"]) for p in plugins] == [("job", "arcterm-counting")]


async def test_a_job_of_a_package_is_chosen_and_shown_in_the_console(
    arcterm, identities, monkeypatch, tmp_path
):
    site = arcterm.env["PYTHONPATH"]
    monkeypatch.setenv("PYTHONPATH", site)
    monkeypatch.syspath_prepend(site)
    (identities / "id2" / "b").unlink()
    app = Textual(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "no runs" in screen_text(app).lower())
        await pilot.press("d")
        await until(pilot, lambda: "n new job" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "count-identities" in screen_text(app))
        app.screen.cursor = [name for name, _ in app.screen.choices].index("count-identities")
        await pilot.press("enter")
        await until(pilot, lambda: "job count-identities" in screen_text(app) and app.screen.query("Input"))
        app.screen.query_one("#field-path-src Input").value = str(identities)
        await until(pilot, lambda: "ready:" in screen_text(app))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "5 identities, 9 images" in screen_text(app))
        assert "✓ done" in screen_text(app)
        assert f"arcterm job count-identities {identities}" in screen_text(app)
        await pilot.press("1")
        await until(pilot, lambda: "N new run" in screen_text(app) and "count-iden" in screen_text(app))


async def test_a_backbone_installed_while_the_console_is_open_trains(monkeypatch, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    app = Textual(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_form(
            {"backbone": "tiny", "loss": "arcface", "dataset": "synthetic", "steps": "2", "nproc": "1"}
        )
        await until(pilot, lambda: getattr(app.screen, "draft", None) and app.screen.focused)
        form = app.screen
        assert "plain" not in dict(form.draft.choices("backbone"))
        example = str(ROOT / "examples" / "arcterm-backbone")
        subprocess.run([*PIP, "--target", str(site), example], check=True, capture_output=True)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "plain" in dict(form.draft.choices("backbone")))
        await until(pilot, lambda: form.query("#field-backbone:focus-within"))
        form.query_one("#field-backbone Select").value = "plain"
        await until(pilot, lambda: form.query("#field-backbone-embedding_size Input"))
        form.query_one("#field-backbone-embedding_size Input").value = "64"
        await until(
            pilot, lambda: "ready:" in screen_text(app) and "backbone.embedding_size=64" in screen_text(app)
        )
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen is not form)
        await until(pilot, lambda: app.screen.view.state.state == "done")
        run = app.screen.view.run
    assert (run.config.backbone, run.config.backbone_options["embedding_size"]) == ("plain", 64)
    assert run.record.plugins[0].distribution == "arcterm-plain"
