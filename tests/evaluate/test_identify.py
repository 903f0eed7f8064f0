"""The job on small folders of people, against a plain computation, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from arcterm_registry import get

from arcterm.errors import ConfigError, DataError, StopAskedError
from arcterm.evaluate.answers import cell
from arcterm.evaluate.identify import identify
from arcterm.export import embedding
from arcterm.export.model import open_model
from arcterm.features import matrix, networks
from arcterm.formats.images import encode_png
from arcterm.formats.modelfile import SetScore
from arcterm.inputs import models
from tests.evaluate.tinysets import face
from tests.jobs import StoppingJob

PEOPLE, STRANGERS = 5, 4


def write_face(path, person, seed, side=112):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(face(person, side, seed)))


@pytest.fixture
def folders(tmp_path):
    """One to three images of each of five people, and probes of them and of four strangers."""
    for person in range(PEOPLE):
        for number in range(1 + person % 3):
            write_face(tmp_path / "gallery" / f"p{person}" / f"{number}.png", person, number)
        for number in range(3):
            write_face(tmp_path / "probes" / f"p{person}" / f"{number}.png", person, 10 + number)
    for stranger in range(STRANGERS):
        write_face(tmp_path / "probes" / f"q{stranger}" / "0.png", 100 + stranger, 0)
        write_face(tmp_path / "probes" / f"q{stranger}" / "1.png", 100 + stranger, 1)
    return tmp_path


@pytest.fixture
def run(folders, weights, monkeypatch):
    """``run(probes="probes", top=2)``: the report; commits every batch."""
    monkeypatch.setattr(matrix, "_ROUND", 1)
    monkeypatch.setattr(matrix, "_COMMIT_SECONDS", -1.0)

    def call(job=None, gallery="gallery", probes="probes", model=weights, **options):
        defaults = {option.name: option.default for option in get("job", "identify").options}
        paths = [str(model), str(folders / gallery), str(folders / probes)]
        job = job or StoppingJob("identify", folders / "runs", paths)
        return identify(job, *paths, **(defaults | {"batch_size": 8} | options))

    return call


def scores_by_hand(folders, weights, match):
    """Similarities (P, people) in float64, and the probes' labels, PEOPLE for strangers."""
    model = open_model(models.locate(weights, folders))

    def unit(files):
        raw = embedding.embed(model, files, resize=False, flip=True, progress=lambda *_: None).astype(
            np.float64
        )
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    gallery = [sorted((folders / "gallery" / f"p{person}").iterdir()) for person in range(PEOPLE)]
    probes = sorted((folders / "probes").rglob("*.png"))
    vectors, columns = unit(probes), []
    for files in gallery:
        own = unit(files)
        total = own.sum(0)
        pooled = vectors @ (total / np.linalg.norm(total))
        columns.append(pooled if match == "template" else (vectors @ own.T).max(1))
    labels = [int(path.parent.name[1:]) if path.parent.name[0] == "p" else PEOPLE for path in probes]
    return np.stack(columns, 1), np.array(labels)


def middle(scores):
    """A threshold that half of the scores are above, and none near."""
    ordered = np.sort(scores)
    return float(ordered[len(ordered) // 2 - 1 :][:2].mean())


@pytest.mark.parametrize("match", ["template", "image"])
def test_answers_and_rates_are_those_of_a_plain_computation(run, folders, weights, match):
    scores, labels = scores_by_hand(folders, weights, match)
    threshold = middle(scores[labels == PEOPLE].max(1))
    data = run(match=match, top=2, threshold=threshold).data
    order = np.argsort(-scores, axis=1, kind="stable")[:, :2]
    for row, wanted, similarity, label in zip(data["answers"], order, scores, labels, strict=True):
        assert [one["person"] for one in row["best"]] == [f"p{person}" for person in wanted]
        assert [one["similarity"] for one in row["best"]] == pytest.approx(similarity[wanted], abs=1e-5)
        assert row["accepted"] == (similarity.max() > threshold)
        assert row["person"] == (f"p{wanted[0]}" if row["accepted"] else None)
        assert row["label"] == (f"p{label}" if label < PEOPLE else row["probe"][:2])
    mated = labels < PEOPLE
    own = scores[mated, labels[mated]]
    others = np.sort(np.where(np.arange(PEOPLE) == labels[mated, None], -9, scores[mated]), axis=1)[:, ::-1]
    right, strangers = own > others[:, 0], scores[~mated].max(1)
    rates = data["rates"]
    assert (rates["mated"], rates["strangers"]) == (15, 8)
    assert 0.2 < rates["rank_1"] < 1 and 0 < rates["fpir"] < 1  # the set is not trivial
    assert rates["rank_1"] == right.mean() and rates["rank_top"] == (own > others[:, 1]).mean()
    assert (
        rates["tpir"] == (right & (own > threshold)).mean()
        and rates["fpir"] == (strangers > threshold).mean() == 0.5
    )
    (strict, loose) = rates["open_set"]
    assert strict["threshold"] == pytest.approx(strangers.max(), abs=1e-5) and strict["accepted"] == 0
    assert not strict["resolved"] and not loose["resolved"]
    assert strict["tpir"] == (right & (own > strangers.max())).mean()


def test_a_threshold_from_the_strangers_among_the_probes(run):
    data = run(fpir=0.25).data
    assert data["rates"]["fpir"] == 0.25
    assert "0.25 of these 8 pictures" in data["threshold_from"]


def test_probes_without_labels(run, folders):
    """A flat folder, one picture, or folders that aren't called as anybody."""
    (folders / "flat").mkdir()
    shutil.copy(folders / "probes" / "p2" / "0.png", folders / "flat" / "a.png")
    report = run(probes="flat")
    assert report.data["rates"] is None and "label" not in report.data["answers"][0]
    assert report.data["answers"][0]["accepted"] is None and report.data["threshold"] is None
    assert report.lines[1].startswith("a.png  p2 ")
    assert run(probes="flat/a.png").data["answers"] == report.data["answers"]
    shutil.copytree(folders / "flat", folders / "deep" / "er" / "still")
    assert run(probes="deep").data["answers"][0]["probe"] == "er/still/a.png"
    assert run(probes="deep", labels="folders").data["rates"]["strangers"] == 1
    assert run(labels="none").data["rates"] is None
    with pytest.raises(ConfigError, match="no folder of a person"):
        run(probes="flat", labels="folders")
    with pytest.raises(ConfigError, match="there are none"):
        run(probes="flat", fpir=0.1)


def test_a_person_who_scores_the_same_counts_against_the_probe(run, folders):
    before = run().data["rates"]["rank_1"]
    shutil.copytree(folders / "gallery", folders / "twice")
    for person in range(PEOPLE):
        shutil.copytree(folders / "gallery" / f"p{person}", folders / "twice" / f"r{person}")
    after = run(gallery="twice").data
    assert before > 0 and after["rates"]["rank_1"] == 0 < after["rates"]["rank_top"]
    first = after["answers"][0]["best"]
    assert first[0]["similarity"] == first[1]["similarity"] and first[0]["person"][0] == "p"


def test_the_threshold_of_a_verified_set(run, monkeypatch):
    """As `arcterm compare` has it: a squared distance on the model's card."""

    def scored(place, known):
        found = open_model(place, known)
        score = SetScore(set="lfw", pairs=6000, threshold=1.5, far_threshold=0.6)
        return replace(found, facts=msgspec.structs.replace(found.facts, scores=[score]))

    monkeypatch.setattr(networks, "open_model", scored)
    report = run()
    assert report.data["threshold"] == pytest.approx(0.7)
    assert "accepted above a similarity of 0.7000 (lfw's 6,000 pairs at FAR 0.001" in report.lines[1]
    assert run(threshold=0.1).data["threshold"] == 0.1
    with pytest.raises(DataError, match="no set cfp; it has lfw"):
        run(threshold_set="cfp")


def test_images_that_cannot_be_used_are_refused_all_at_once(run, folders):
    write_face(folders / "gallery" / "p1" / "wide.png", 1, 7, side=90)
    write_face(folders / "probes" / "q0" / "2.png", 100, 7, side=80)
    (folders / "probes" / "p0" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"^3 of 34 images can't be used") as refused:
        run()
    for said in ("p1/wide.png is 90×90", "q0/2.png is 80×80", "p0/0.png"):
        assert said in refused.value.message
    assert "arcterm align" in refused.value.hint and "--resize" in refused.value.hint
    (folders / "probes" / "p0" / "0.png").unlink()
    assert run(resize=True).data["images"] == 10
    (folders / "gallery" / "p9").mkdir()
    with pytest.raises(DataError, match="p9 has no image"):
        run()


def test_names_of_strangers_do_nothing(run, folders):
    """In a terminal, in a spreadsheet, in JSON that is printed."""
    write_face(folders / "gallery" / "=HYPERLINK(1)" / "0.png", 50, 0)
    write_face(folders / "odd" / "+1\x1b[31m\u202ex\x9b.png", 50, 0)
    report = run(probes="odd", out=str(folders / "out"), threshold=-1.0)
    assert not set("\x1b\u202e\x9b") & set("".join(report.lines))
    row = next(csv.DictReader((folders / "out" / "identify.csv").read_text().splitlines()))
    assert row["probe"] == "'+1x.png" and row["answer"] == "'=HYPERLINK(1)" == row["person_1"]
    assert float(row["similarity_1"]) > 0.5
    assert not set("\x1b\u202e\x9b") & set((folders / "out" / "index.html").read_text())
    text = (folders / "out" / "identify.jsonl").read_text(encoding="ascii")
    assert json.loads(text)["probe"] == "+1\x1b[31m\u202ex\x9b.png" and "\x1b" not in text
    assert [cell(name) for name in ("=a", "@a", "-a", " +a", "\ta", "a=b", "＝a", "")] == [
        "'=a", "'@a", "'-a", "' +a", "'\ta", "a=b", "'＝a", "",
    ]  # fmt: skip


def test_the_folder_has_all_answers(run, folders):
    report = run(out=str(folders / "out"), fpir=0.5, top=4)
    rows = [json.loads(line) for line in (folders / "out" / "identify.jsonl").read_text().splitlines()]
    assert rows == report.data["answers"] and len(rows) == 23
    table = list(csv.reader((folders / "out" / "identify.csv").read_text().splitlines()))
    assert table[0][:5] == ["probe", "label", "answer", "person_1", "similarity_1"] and len(table) == 24
    assert {row[2] for row in table[1:]} > {"unknown"}
    page = (folders / "out" / "index.html").read_text()
    assert "The 23 least certain of 23 pictures" in page and page.count("data:image/jpeg") == 46
    assert page.index("unknown (") and "<script" not in page and "net.pth, RGB 112×112" in page
    assert "<li>at this threshold strangers accepted (FPIR) 50.00\u00a0%</li>" in page
    result = json.loads((folders / "out" / "result.json").read_text())
    assert result == {key: value for key, value in report.data.items() if key != "answers"}
    with pytest.raises(DataError, match="already exists"):
        run(out=str(folders / "out"))


def test_a_stopped_job_goes_on_to_the_same_answers(run, folders, weights):
    whole = run()
    job = StoppingJob("identify", folders / "stopped", ["a", "b", "c"], stop=2)
    with pytest.raises(StopAskedError):
        run(job)
    job.stop = 1000
    assert run(job).data | {"seconds": 0} == whole.data | {"seconds": 0}
    write_face(folders / "probes" / "p0" / "9.png", 0, 99)
    with pytest.raises(DataError, match="added, removed or renamed"):
        run(job)


def test_a_gallery_that_is_asked_about_itself_is_named(run, folders):
    job = StoppingJob("identify", folders / "self", ["a", "b", "c"])
    data = run(job, probes="gallery", match="image").data
    assert data["rates"]["rank_1"] == 1
    assert any("9 of the pictures are the gallery's own" in getattr(event, "text", "") for event in job.heard)


def test_what_may_be_other_than_was_meant_is_said(run, folders):
    write_face(folders / "gallery" / "loose.png", 1, 7)
    (folders / "gallery" / "p1" / "notes.txt").write_text("x")
    (folders / "probes" / "q0").rename(folders / "probes" / "P1")
    job = StoppingJob("identify", folders / "doubtful", ["a", "b", "c"])
    assert run(job).data["images"] == 9
    said = [getattr(event, "text", "") for event in job.heard]
    assert "2 files of the gallery are left out: no image, or not in a person's own folder" in said
    assert "P1 is taken for a stranger: the gallery has p1, written in another way" in said


def test_a_rate_of_one_accepts_everything(run):
    report = run(fpir=1.0, top=50)
    assert report.data["threshold"] is None and all(row["accepted"] for row in report.data["answers"])
    assert "23 accepted (1 of these 8 pictures of strangers lets all of them in)" in report.lines
    assert report.data["rates"]["top"] == PEOPLE
    json.dumps(report.data, allow_nan=False)


def test_options_that_say_two_things_are_refused(run):
    with pytest.raises(ConfigError, match="--threshold and --fpir"):
        run(threshold=0.1, fpir=0.1)


def test_a_name_that_no_result_could_have_is_refused_before_any_work(run, folders, weights):
    shutil.copy(folders / "probes" / "p0" / "0.png", os.fsencode(folders / "probes" / "p0") + b"/\xff.png")
    job = StoppingJob("identify", folders / "odd", ["a", "b", "c"])
    with pytest.raises(UnicodeEncodeError):
        run(job)
    assert not list(job.work.glob("*.npy"))
