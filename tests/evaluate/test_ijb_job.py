"""IJB from loose crops to rates, with a small network of random weights in this process."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.errors import DataError, StopAskedError
from arcterm.evaluate.ijb import pooling
from arcterm.evaluate.ijb.crops import AlignedFaces
from arcterm.evaluate.ijb.job import ijb
from arcterm.evaluate.ijb.pooling import POOLINGS, Pooling, group
from arcterm.export import embedding
from arcterm.export.model import open_model
from arcterm.faces.similarity import estimate
from arcterm.features import leader, matrix
from arcterm.formats.ijb.database import read_faces
from arcterm.formats.ijb.places import locate
from arcterm.inputs import models
from tests.evaluate.ijbsets import InventedIjb
from tests.jobs import StoppingJob, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "net.pth")


@pytest.fixture
def made(tmp_path):
    return InventedIjb(tmp_path / "set", "B")


@pytest.fixture
def go(tmp_path, made, weights):
    def evaluate(job=None, **options):
        job = job or StoppingJob("ijb", tmp_path / "runs", [str(weights), str(made.folder)])
        given = {option.name: option.default for option in get("job", "ijb").options}
        return ijb(job, str(weights), str(made.folder), **given | {"batch_size": 8} | options)

    return evaluate


def plainly(made, weights, tmp_path):
    """Embed aligned images by another way, pool them in loops; unit vectors by template."""
    pictures = AlignedFaces(read_faces(locate(made.folder)))
    files = []
    for index in range(len(pictures)):
        path = tmp_path / "aligned" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), pictures.pixels(index, (112, 112))[:, :, ::-1])
        files.append(path)
    model = open_model(models.locate(str(weights), tmp_path))
    rows = embedding.embed(model, files, resize=False, flip=True, progress=lambda *_: None)
    rows = rows.astype(np.float64) * np.array(made.scores)[:, None]
    templates, media = np.array(made.templates), np.array(made.media)
    found = {}
    for id_ in set(made.templates):
        mine = templates == id_
        vector = sum(rows[mine & (media == one)].mean(0) for one in set(media[mine]))
        found[id_] = vector / np.linalg.norm(vector)
    return found


def test_the_worked_example_of_an_alignment():
    points = np.array([[40, 60], [90, 58], [66, 82], [45, 105], [88, 103]], np.float32)
    wanted = [
        [0.794054736091, -0.025410261531, 5.850835706134],
        [0.025410261531, 0.794054736091, 5.433918326201],
    ]
    assert estimate(points) == pytest.approx(np.array(wanted), abs=1e-12)


@pytest.mark.long
def test_a_model_is_scored_from_crops_to_rates(go, made, weights, tmp_path):
    out = tmp_path / "out"
    report = go(out=str(out))
    vectors = plainly(made, weights, tmp_path)
    ids = np.load(out / "template_ids.npy").tolist()
    assert ids == sorted(vectors)
    assert np.abs(np.load(out / "templates.npy") - [vectors[id_] for id_ in ids]).max() < 1e-5
    scores = np.load(out / "scores.npy")
    wanted = [vectors[left] @ vectors[right] for left, right, _ in made.pairs]
    assert scores == pytest.approx(np.array(wanted), abs=1e-5)

    data = report.data
    assert json.loads((out / "result.json").read_text()) == json.loads(json.dumps(data))
    assert data["counts"]["pairs"] == len(made.pairs) == 72
    assert (data["counts"]["genuine"], data["counts"]["impostors"]) == (12, 60)
    (found,) = data["results"]
    assert found["words"] == "image + mirror image, norms kept, × detector score"
    tar = found["verification"]["tars"][-1]
    same = np.array([bool(label) for *_, label in made.pairs])
    threshold = np.sort(scores[~same])[::-1][6]
    assert (tar["threshold"], tar["accepted"]) == (threshold, 6)
    assert tar["tar"] == np.mean(scores[same] > threshold)
    galleries = found["identification"]["galleries"]
    assert [(g["gallery"], g["templates"], g["mated"], g["non_mated"]) for g in galleries] == [
        ("S1", 3, 6, 6),
        ("S2", 3, 6, 6),
    ]
    assert len(data["files"]) == 6 and set(data["model"]["sha256"]) == {"net.pth"}
    assert {path.name for path in out.iterdir()} >= {"roc.svg", "cmc.svg", "index.html", "crops.jpg"}
    assert cv2.imread(str(out / "crops.jpg")).shape[1] > 800
    assert (out / "index.html").read_text().count('<tr class="hint"><th>') == 6
    said = "\n".join(report.lines)
    assert "IJB-B: " in said and "note: a part of IJB-B? " in said and "(227,630 in the whole one), " in said
    assert "N0" not in said and "N1" not in said
    assert [curve.log_x for curve in report.curves] == [True, False]


@pytest.mark.long
def test_all_variants_come_from_the_same_features(go, made, tmp_path):
    out = tmp_path / "out"
    report = go(variants=True, norms="removed", flip="none", out=str(out), features=True)
    features = np.load(out / "features.npy")
    assert [found["words"] for found in report.data["results"]] == [
        str(each) for each in sorted(POOLINGS, key=lambda each: each != Pooling("none", "removed"))
    ]
    grouping = group(np.array(made.templates, np.int32), np.array(made.media, np.int32))
    for found in report.data["results"]:
        chosen = Pooling(**found["pooling"])
        vectors = pooling.pool(features, np.array(made.scores), grouping, chosen)
        rows = np.searchsorted(grouping.ids, np.array(made.pairs)[:, :2])
        scores = np.einsum("ij,ij->i", vectors[rows[:, 0]], vectors[rows[:, 1]])
        same = np.array(made.pairs)[:, 2] == 1
        tar = found["verification"]["tars"][-1]
        assert tar["tar"] == np.mean(scores[same] > np.sort(scores[~same])[::-1][6])
    assert sum(line.startswith("  ") and " norms " in line for line in report.lines) == 16


def test_without_lists_of_identification_pairs_alone_are_scored(go, made, tmp_path):
    made.path("1N_probe_mixed.csv").unlink()
    report = go()
    assert report.data["results"][0]["identification"] is None
    assert "note: verification only: there is no ijbb_1N_probe_mixed.csv" in report.lines
    assert (Path(report.result) / "scores.npy").is_file()


@pytest.mark.long
def test_a_network_that_normalises_is_labelled(go, monkeypatch):
    def unit(views):
        return (views[0] / views[0].norm(dim=2, keepdim=True)).flatten(1)

    monkeypatch.setattr("arcterm.evaluate.ijb.job.both_views", unit)
    report = go(variants=True)
    assert all("norms removed" in found["words"] for found in report.data["results"])
    assert len(report.data["results"]) == 8
    assert any("normalises its features itself" in line for line in report.lines)


def test_a_collapsed_network_is_refused(go, monkeypatch):
    monkeypatch.setattr("arcterm.evaluate.ijb.job.both_views", lambda views: torch.ones(len(views[0]), 128))
    with pytest.raises(DataError, match=r"collapsed: its embeddings of .* images of the database are less"):
        go()


def test_missing_images_are_named_before_anything_is_embedded(go, made, monkeypatch, weights, tmp_path):
    for name in made.names[1:15]:
        (made.folder / "loose_crop" / name).unlink()
    monkeypatch.setattr("arcterm.evaluate.ijb.job.extract", None)
    job = StoppingJob("ijb", tmp_path / "runs", [str(weights), str(made.folder)])
    with pytest.raises(DataError, match=r"14 of \d+ images are missing .* and 4 more") as raised:
        go(job)
    assert "missing.txt names all" in raised.value.hint
    assert (job.work / "missing.txt").read_text().split() == made.names[1:15]


def test_images_that_can_not_be_embedded_are_named(go, made):
    (made.folder / "loose_crop" / made.names[3]).write_bytes(b"no image")
    lines = made.lines("name_5pts_score.txt")
    lines[5] = f"{made.names[5]} {'3 ' * 10}0.5"
    made.write_lines("name_5pts_score.txt", lines)
    with pytest.raises(
        DataError, match=r"2 of \d+ images can't be embedded: 4\.jpg: these .*; 6\.jpg: its .*one place"
    ):
        go()


@pytest.mark.long
def test_a_job_goes_on_once_images_are_mended(go, made, weights, tmp_path):
    file = made.folder / "loose_crop" / made.names[3]
    data, whole = file.read_bytes(), go()
    file.write_bytes(b"no image")
    job = StoppingJob("ijb", tmp_path / "other", [str(weights), str(made.folder)])
    for _ in range(2):
        with pytest.raises(DataError, match=r"1 of \d+ images can't be embedded: 4\.jpg: these"):
            go(job)
    file.write_bytes(data)
    assert go(job).data["results"] == whole.data["results"]


def test_a_template_without_a_direction_is_named(go, made):
    lines = made.lines("name_5pts_score.txt")
    id_ = made.templates[0]
    for number, template in enumerate(made.templates):
        if template == id_:
            lines[number] = lines[number].rpartition(" ")[0] + " 0"
    made.write_lines("name_5pts_score.txt", lines)
    with pytest.raises(DataError, match=rf"no direction .* 1 template: {id_} \(zero\)"):
        go()
    assert go(detector_score=False).data["results"]


def test_an_existing_folder_is_refused_first(go, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    monkeypatch.setattr("arcterm.evaluate.ijb.job.extract", None)
    with pytest.raises(DataError, match="already exists"):
        go(out=str(tmp_path / "out"))


@pytest.mark.long
@pytest.mark.parametrize("stop", [0, 2, 8, 12])
def test_it_is_stopped_anywhere_and_goes_on_to_the_same_result(
    go, made, weights, tmp_path, monkeypatch, stop
):
    monkeypatch.setattr(matrix, "_ROUND", 1)
    monkeypatch.setattr(leader, "_SECONDS", -1.0)
    monkeypatch.setattr("arcterm.runs.context._PROGRESS_SECONDS", -1.0)
    whole = go()
    job = StoppingJob("ijb", tmp_path / "other", [str(weights), str(made.folder)], stop)
    with pytest.raises(StopAskedError):
        go(job)
    assert not (job.run.path / "ijb").exists()
    job.stop = 10_000
    again = go(job)
    assert again.data["results"] == whole.data["results"]
    for name in ("templates.npy", "scores.npy"):
        assert (Path(again.result) / name).read_bytes() == (Path(whole.result) / name).read_bytes()


def test_a_changed_list_is_noticed(go, made, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "_ROUND", 1)
    job = StoppingJob("ijb", tmp_path / "other", [str(weights), str(made.folder)], 2)
    with pytest.raises(StopAskedError):
        go(job)
    job.stop = 1000
    made.scores[0] = 0.1
    made.write()
    with pytest.raises(DataError, match="is not the file that it was"):
        go(job)
