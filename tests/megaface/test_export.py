"""Aligned images → features in both layouts: what is in them, what is missing, how a stopped one goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcterm.errors import ConfigError, DataError, StopAskedError
from arcterm.export import embedding
from arcterm.export.model import open_model
from arcterm.features import matrix
from arcterm.inputs import models
from arcterm.megaface import export as module
from arcterm.megaface.convert import convert
from arcterm.megaface.export import export
from arcterm.megaface.store import open_features
from tests.jobs import StoppingJob, make_job, save_weights
from tests.megaface.faces import write_face, write_sets
from tests.megaface.folders import FACESCRUB, MEGAFACE

DEFAULTS: dict[str, Any] = {
    "facescrub": "",
    "facescrub_list": "",
    "megaface": "",
    "megaface_list": "",
    "skip": 0,
    "algo": "tiny",
    "layout": "packed",
    "ending": "",
    "checkpoint": "last",
    "channels": "",
    "mean": "",
    "std": "",
    "batch_size": 4,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_weights(tmp_path_factory.mktemp("weights") / "net.pth"))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def run(tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch):
    """Export by one model or several; agrees at every batch and commits each."""
    monkeypatch.setattr(matrix, "_ROUND", 1)
    monkeypatch.setattr(matrix, "_COMMIT_SECONDS", -1.0)
    monkeypatch.setattr(module, "BLOCK", 5)

    def go(out: str, job: StoppingJob | None = None, count: int = 1, **options: Any) -> Any:
        used = [weights] * count
        job = job or StoppingJob("export", tmp_path / f"runs-{out}", [*used, "out"])
        report = export(job, *used, str(tmp_path / out), **DEFAULTS | options)
        report.data["said"] = [event.text for event in job.heard if hasattr(event, "text")]
        return report

    return go


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.long
def test_features_are_the_unit_sums_of_both_views(run, sets, weights, tmp_path) -> None:
    report = run("one", **sets)
    assert report.problems == 0
    found = open_features(tmp_path / "one")
    model = open_model(models.locate(weights, tmp_path))
    for which, names, root in (("facescrub", FACESCRUB, "facescrub"), ("megaface", MEGAFACE, "megaface")):
        files = [Path(sets[root]) / name for name in names]
        raw = embedding.embed(model, files, resize=False, flip=True, progress=lambda *_: None)
        wanted = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        opened = found.require(which)
        assert opened.names == names
        rows = opened.rows(slice(0, len(names)))
        np.testing.assert_allclose(rows, wanted, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    facts = found.facts
    assert facts is not None and facts.image_size == (112, 112) and facts.extra == 0
    assert list(facts.models[0]["sha256"]) == ["net.pth"]
    run("two", count=2, **sets)
    both = np.load(tmp_path / "two" / "facescrub.npy")
    one = np.load(tmp_path / "one" / "facescrub.npy")
    np.testing.assert_allclose(both, np.hstack([one, one]) / np.sqrt(2), atol=1e-6)


@pytest.mark.long
def test_the_devkits_layout_is_the_packed_one_taken_apart(run, sets, tmp_path) -> None:
    run("packed", **sets)
    data = run("devkit", layout="devkit", **sets).data
    assert data["ending"] == "_tiny_112x112.bin"
    assert len(list((tmp_path / "devkit").rglob("*_tiny_112x112.bin"))) == len(FACESCRUB) + len(MEGAFACE)
    convert(
        make_job("convert"), str(tmp_path / "packed"), str(tmp_path / "other"), layout="devkit", ending=""
    )
    assert files_of(tmp_path / "devkit") == files_of(tmp_path / "other")
    run(
        "named",
        layout="devkit",
        ending="_tiny.bin",
        megaface=sets["megaface"],
        megaface_list=sets["megaface_list"],
    )
    assert (tmp_path / "named" / "megaface" / f"{MEGAFACE[0]}_tiny.bin").is_file()
    assert not (tmp_path / "named" / "facescrub").exists()


@pytest.mark.long
@pytest.mark.parametrize("layout", ["packed", "devkit"])
def test_it_is_stopped_anywhere_and_goes_on_to_the_same_bytes(run, sets, tmp_path, weights, layout) -> None:
    run("whole", layout=layout, **sets)
    wanted = files_of(tmp_path / "whole")
    for stop in range(0, 32, 2 if layout == "packed" else 5):
        out = f"parts{stop}"
        job = StoppingJob("export", tmp_path / out / "runs", [weights, "out"], stop)
        try:
            run(f"{out}/done", job, layout=layout, **sets)
        except StopAskedError:
            job.stop = 1 << 30
            run(f"{out}/done", job, layout=layout, **sets)
        else:
            assert stop > 15
        assert files_of(tmp_path / out / "done") == wanted
        assert not list((tmp_path / out).glob(".done*"))


def test_all_that_is_missing_or_no_image_is_named(run, tmp_path) -> None:
    own = write_sets(tmp_path / "sets")
    gone, torn, odd = MEGAFACE[4], MEGAFACE[9], MEGAFACE[20]
    (Path(own["megaface"]) / gone).unlink()
    (Path(own["megaface"]) / torn).write_bytes(b"\xff\xd8\xff")
    write_face(Path(own["megaface"]) / odd, 0, size=98)
    (Path(own["facescrub"]) / FACESCRUB[2]).unlink()
    (Path(own["facescrub"]) / FACESCRUB[2]).mkdir()  # its own name, not another ending
    report = run("out", **own)
    assert report.problems == 4
    sets = report.data["sets"]
    assert sets["megaface"] == {"listed": 40, "features": 37, "missing": 1, "refused": 2, "other_ending": 0}
    assert (sets["facescrub"]["refused"], sets["facescrub"]["other_ending"]) == (1, 0)
    assert any(text.startswith("1 of 40 images of MegaFace are missing") for text in report.data["said"])
    found = open_features(tmp_path / "out")
    opened = found.require("megaface")
    assert opened.find([gone, torn, odd, MEGAFACE[0]]).tolist() == [-1, -1, -1, 0]
    assert set(opened.refused) == {torn, odd} and "98×98" in opened.refused[odd]
    assert list(found.facts.sets["megaface"].missing) == [gone]
    run("files", layout="devkit", **own)
    assert not list((tmp_path / "files").rglob(f"{Path(torn).name}*"))


def test_names_of_facescrub_are_those_of_its_aligned_images(run, tmp_path) -> None:
    for name in ("Adam_B/Adam_B_1.png", "Adam_B/Adam_B_2.png", "Eve_C/Eve_C_7.png"):
        write_face(tmp_path / "fs" / name, 1)
    write_face(tmp_path / "fs" / "Eve_C/Eve_C_8.jpg", 2)
    paths = ["/photos/Adam B/Adam B_1.jpeg", "Adam_B/Adam_B_2.png", "Eve C/Eve C_7.png", "Eve_C/Eve_C_8.png"]
    (tmp_path / "lst").write_text(json.dumps({"path": paths, "id": ["a", "a", "e", "e"]}))
    report = run("out", facescrub=str(tmp_path / "fs"), facescrub_list=str(tmp_path / "lst"))
    assert open_features(tmp_path / "out").require("facescrub").names == [
        "Adam_B/Adam_B_1.png",
        "Adam_B/Adam_B_2.png",
        "Eve_C/Eve_C_7.png",
        "Eve_C/Eve_C_8.png",
    ]
    assert report.data["sets"]["facescrub"]["other_ending"] == 2
    assert any("2 images of FaceScrub have another ending" in text for text in report.data["said"])


def test_the_first_of_a_list_can_be_skipped(run, sets, tmp_path) -> None:
    run("out", skip=30, megaface=sets["megaface"], megaface_list=sets["megaface_list"])
    assert open_features(tmp_path / "out").require("megaface").names == MEGAFACE[30:]
    with pytest.raises(DataError, match="has no more than 40 images"):
        run("none", skip=40, megaface=sets["megaface"], megaface_list=sets["megaface_list"])


def test_what_can_not_be_is_refused_before_any_work(run, sets, tmp_path) -> None:
    for name in MEGAFACE:
        write_face(tmp_path / "large" / name, 0, size=224)
    half = {"megaface": sets["megaface"]}
    whole = half | {"megaface_list": sets["megaface_list"]}
    (tmp_path / "twice.lst").write_text("a/b/c.jpg\nx/a/b/c.jpg\n")
    for options, said, hint in (
        ({}, "there is nothing to export", "--facescrub"),
        (half, "--megaface-list is missing", "folder and a list"),
        (whole | {"megaface": str(tmp_path / "large")}, "224×224", "align .* --preset megaface"),
        (whole | {"megaface": str(tmp_path)}, "none of 40 images of .* is in", "aligned images"),
        (whole | {"megaface": str(tmp_path / "absent")}, "absent is no folder", "aligned images"),
        (
            whole | {"megaface_list": str(tmp_path / "twice.lst")},
            "1 names of MegaFace by several",
            "one path",
        ),
        (whole | {"ending": "_x.bin"}, "--ending is for --layout devkit", ""),
        (whole | {"algo": "a/b"}, "is no ending", "_r100"),
    ):
        with pytest.raises((DataError, ConfigError), match=said) as caught:
            run("out", **options)
        assert re.search(hint, caught.value.hint)
        assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
