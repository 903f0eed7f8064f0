"""The job on small sets of TinyFace's shape, against a plain computation over all scores."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.align import detection
from arcterm.errors import DataError, StopAskedError
from arcterm.evaluate import smallfaces
from arcterm.evaluate import tinyface as tinyface_module
from arcterm.evaluate.tinyface import tinyface
from arcterm.export import embedding
from arcterm.export.model import open_model
from arcterm.features import matrix
from arcterm.formats.images import encode_png
from arcterm.formats.tinyface import read_tinyface
from arcterm.inputs import models
from tests.align.marks import COLOUR, DECLARED
from tests.evaluate.tinysets import make_tinyface
from tests.jobs import StoppingJob


@pytest.fixture
def root(tmp_path):
    return make_tinyface(tmp_path / "tinyface", people=5, distractors=40)


@pytest.fixture
def run(tmp_path, weights, root, monkeypatch):
    """``run(job, images="original")``: the report; commits every batch."""
    monkeypatch.setattr(matrix, "_ROUND", 1)
    monkeypatch.setattr(matrix, "_COMMIT_SECONDS", -1.0)

    def call(job=None, **options):
        defaults = {option.name: option.default for option in get("job", "tinyface").options}
        job = job or StoppingJob("tinyface", tmp_path / "runs", [weights, str(root)])
        return tinyface(job, weights, str(root), **(defaults | {"batch_size": 8} | options))

    return call


def scores_by_hand(root, weights, left_out=()):
    """Rank of the best mate and both average precisions of each probe, by float64 sums over all images."""
    found = read_tinyface(root)
    model = open_model(models.locate(weights, root))
    files = [path for path in found.images if path.name not in left_out]
    raw = embedding.embed(model, files, resize=False, flip=True, progress=lambda *_: None).astype(np.float64)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    kind = np.array([path.parent.name for path in files])
    people = np.array([int(path.name.partition("_")[0]) if path.name[0] != "-" else -100 for path in files])
    gallery = kind != "Probe"
    ranks, plain, areas = [], [], []
    for vector, person in zip(unit[~gallery], people[~gallery], strict=True):
        order = np.argsort(-(unit[gallery] @ vector), kind="stable")
        hits = np.flatnonzero(people[gallery][order] == person)
        ranks.append(hits[0] + 1)
        plain.append(np.mean([(n + 1) / (hit + 1) for n, hit in enumerate(hits)]))
        before = [n / hit if hit else 1.0 for n, hit in enumerate(hits)]
        areas.append(
            np.mean(
                [(b + (n + 1) / (hit + 1)) / 2 for n, (hit, b) in enumerate(zip(hits, before, strict=True))]
            )
        )
    return np.array(ranks), np.mean(plain), np.mean(areas)


@pytest.mark.long
def test_the_rates_are_those_of_a_plain_computation(run, root, weights):
    report = run()
    ranks, plain, areas = scores_by_hand(root, weights)
    found = report.data["with_distractors"]
    assert ranks.max() > 1 and 0 < found["rank_1"] < 1  # the set is not trivial
    for rank in (1, 5, 10, 20, 50):
        assert found[f"rank_{rank}"] == np.mean(ranks <= rank)
    assert found["map_plain"] == pytest.approx(plain, abs=1e-12)
    assert found["map_trapezoidal"] == pytest.approx(areas, abs=1e-12)
    assert found["gallery"] == 51 and report.data["without_distractors"]["gallery"] == 11
    assert report.data["without_distractors"]["rank_1"] > found["rank_1"]
    (curve,) = report.curves
    assert [points[0][0] for points in curve.lines.values()] == [1, 1]
    assert next(iter(curve.lines.values()))[0][1] == found["rank_1"]
    assert f"rank-1 {100 * found['rank_1']:.2f} %" in report.lines[1] and report.problems == 0


def test_the_record_says_how_it_was_made(run):
    data = run().data
    assert data["images"] == {
        "kind": "aligned", "detector": "", "without_face": None, "probes": 10, "matches": 11,
        "distractors": 40, "refused": 0, "refused_names": [],
    }  # fmt: skip
    assert set(data["lists"]) == {"probe_img_ID_pairs.mat", "gallery_match_img_ID_pairs.mat"}
    assert len(data["model"]["sha256"]["net.pth"]) == 64
    assert "mirror" in data["model"]["flip"] and "removed" in data["model"]["norms"]
    assert "against the probe" in data["ties"]
    json.dumps(data)


def test_images_that_cannot_be_read_are_named_and_left_out(run, root, weights):
    for name in ("Gallery_Distractor/-7_x.png", "Gallery_Match/5_3.jpg", "Probe/2_1.jpg"):
        (root / "Testing_Set" / name).write_bytes(b"no image")
    report = run()
    assert report.problems == 3 and report.data["probes"] == 9
    assert report.data["images"]["refused_names"] == [
        "Probe/2_1.jpg", "Gallery_Match/5_3.jpg", "Gallery_Distractor/-7_x.png",
    ]  # fmt: skip
    assert "3 images can't be embedded and are left out: Probe/2_1.jpg" in report.lines[1]
    ranks, plain, _ = scores_by_hand(root, weights, {"-7_x.png", "5_3.jpg", "2_1.jpg"})
    assert report.data["with_distractors"]["rank_1"] == np.mean(ranks == 1)
    assert report.data["with_distractors"]["map_plain"] == pytest.approx(plain, abs=1e-12)


def test_a_distractor_that_equals_the_mate_counts_against_the_probe(run, root):
    before = run().data["with_distractors"]["rank_1"]
    for person in range(1, 6):
        for match in (root / "Testing_Set" / "Gallery_Match").glob(f"{person}_*.jpg"):
            shutil.copy(match, root / "Testing_Set" / "Gallery_Distractor" / f"-1{match.name}")
    assert before > 0 and run().data["with_distractors"]["rank_1"] == 0


def test_a_stopped_job_goes_on_to_the_same_result(run, root, weights, tmp_path):
    whole = run()
    job = StoppingJob("tinyface", tmp_path / "stopped", [weights, str(root)], stop=3)
    with pytest.raises(StopAskedError):
        run(job)
    job.stop = 1000
    again = run(job)
    assert again.data | {"seconds": 0} == whole.data | {"seconds": 0}
    (root / "Testing_Set" / "Gallery_Distractor" / "-8_x.png").unlink()
    with pytest.raises(DataError, match="added, removed or renamed"):
        run(job)


def test_the_folder_has_the_result_and_the_vectors(run, tmp_path):
    report = run(out=str(tmp_path / "out"))
    assert report.result == str(tmp_path / "out")
    names = json.loads((tmp_path / "out" / "vectors.json").read_text())
    vectors = np.load(tmp_path / "out" / "vectors.npy")
    assert (names[0], len(names)) == ("Probe/1_1.jpg", len(vectors))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == report.data
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<svg" in page and "<th>rank 50</th>" in page and "net.pth, RGB 112×112" in page
    assert f"<td>{100 * report.data['with_distractors']['rank_1']:.2f}\u00a0%</td>" in page
    assert (tmp_path / "out" / "cmc.svg").is_file()
    with pytest.raises(DataError, match="already exists"):
        run(out=str(tmp_path / "out"))


@pytest.fixture
def marks(monkeypatch):
    """Magenta rectangles are faces, for whichever detector is asked for."""
    monkeypatch.setattr(detection, "get", lambda kind, name: DECLARED["marks"])


def draw_small(root):
    """Original images of odd sizes, every third without a face."""
    random = np.random.default_rng(0)
    for number, path in enumerate(read_tinyface(root).images):
        pixels = random.integers(0, 80, (20 + number % 3, 16 + number % 7, 3), np.uint8)
        if number % 3:
            pixels[1:19, 1:15] = COLOUR
            pixels[4:7, 4:12] += np.uint8(number % 40)
        path.write_bytes(encode_png(pixels))


@pytest.mark.long
def test_original_images_are_aligned_and_those_without_a_face_counted(run, root, marks, tmp_path, weights):
    draw_small(root)
    report = run()
    images = report.data["images"]
    assert (images["kind"], images["detector"], images["without_face"]) == ("original", "mtcnn", 21)
    assert report.lines[1] == "mtcnn found no face in 21 of 61 images, which are enlarged as they are"
    job = StoppingJob("tinyface", tmp_path / "stopped", [weights, str(root)], stop=3)
    with pytest.raises(StopAskedError):
        run(job)
    job.stop = 1000
    assert run(job).data | {"seconds": 0} == report.data | {"seconds": 0}


def test_aligned_copies_stand_in_a_folder_of_their_own(run, root, marks, tmp_path):
    shutil.copytree(root / "Testing_Set", tmp_path / "aligned")
    before = run().data
    draw_small(root)
    after = run(aligned=str(tmp_path / "aligned")).data
    assert after | {"seconds": 0} == before | {"seconds": 0}


def test_images_of_both_kinds_are_refused_unless_said(run, root):
    for path in sorted((root / "Testing_Set" / "Probe").iterdir())[:4]:
        path.write_bytes(encode_png(np.zeros((20, 20, 3), np.uint8)))
    with pytest.raises(DataError, match="others not") as refused:
        run()
    assert "--images aligned" in refused.value.hint
    assert run(images="aligned", batch_size=64).problems == 4


def test_small_faces_are_made_as_published():
    """Padding, sizes and the roof, by a picture whose pixels can be counted."""
    padded = smallfaces.pad(np.full((32, 29, 3), 200, np.uint8))
    assert padded.shape == (38, 38, 3)
    lit = np.argwhere(padded[:, :, 0])
    assert (lit.min(0).tolist(), lit.max(0).tolist()) == ([3, 4], [34, 32])  # 1 left of it, 2 right
    larger = smallfaces.pad(np.full((64, 64, 3), 200, np.uint8))
    assert (larger[3:35, 3:35] == 200).all() and not larger[:3].any()
    enlarged = smallfaces.enlarge(padded, (47, 47))
    assert not enlarged[:12].any() and enlarged[12 + 2, 23].any()
    assert np.argwhere(enlarged[:, :, 0]).min(0).tolist() == [12, 8]  # 9 rows above, 4 columns left, 5 right
    assert smallfaces.align(padded, [], (112, 112)) is None


def test_a_collapsed_network_is_refused(run, monkeypatch):
    monkeypatch.setattr(tinyface_module, "unit_sum", lambda views: torch.ones(len(views[0]), 64) / 8)
    with pytest.raises(DataError, match="the network has collapsed"):
        run()
