"""``arcterm chart``: metrics of runs as files and in the terminal."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from arcterm_registry.contracts import Curve, JobReport

from arcterm.config import JobConfig
from arcterm.runs import state, store
from arcterm.runs.report import write_report

SVG = "{http://www.w3.org/2000/svg}"


def texts(path) -> set[str]:
    return {"".join(node.itertext()) for node in ElementTree.fromstring(path.read_text()).iter(f"{SVG}text")}


def test_runs_are_drawn_over_one_another(arcterm, trained, tmp_path):
    trained("one"), trained("two", steps=60)
    code, out, err = arcterm("chart", "one", "two", "--metric", "loss", "-o", "loss.svg")
    assert (code, out, err) == (0, "", "wrote loss.svg: 2 lines\n")
    assert {"one", "two", "step", "loss"} <= texts(tmp_path / "loss.svg")


def test_what_was_measured_lies_behind_what_is_smoothed(arcterm, trained, tmp_path):
    trained("one")
    assert arcterm("chart", "one", "--smooth", "0.9", "-o", "loss.csv")[0] == 0
    lines = (tmp_path / "loss.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 40 and lines[1] == "one as measured,1,19.75"
    assert arcterm("chart", "one", "--metric", "lr", "--smooth", "0.9", "-o", "lr.csv")[0] == 0
    assert len((tmp_path / "lr.csv").read_text().splitlines()) == 1 + 40  # a rate is never smoothed


@pytest.mark.parametrize(
    ("axis", "name", "first", "last"),
    [("epoch", "epoch", 0.05, 2.0), ("time", "hours since the first step", 0.0, 0.39)],
)
def test_x_may_be_the_epoch_or_the_time(arcterm, trained, tmp_path, axis, name, first, last):
    trained("one")
    assert arcterm("chart", "one", "--x", axis, "-o", "loss.csv")[0] == 0
    head, *rows = (tmp_path / "loss.csv").read_text().splitlines()
    assert head == f"line,{name},loss"
    places = [float(row.split(",")[1]) for row in rows]
    assert (places[0], places[-1]) == pytest.approx((first, last)) and places == sorted(places)


def test_verification_has_a_line_for_each_set_and_its_best(arcterm, trained, tmp_path):
    trained("one"), trained("two")
    assert arcterm("chart", "one", "--metric", "verification", "-o", "v.svg")[0] == 0
    assert {"lfw  best 94.00 @40", "agedb_30  best 84.00 @40", "accuracy\u00a0%"} <= texts(tmp_path / "v.svg")
    assert arcterm("chart", "one", "two", "--metric", "lfw", "-o", "lfw.svg")[0] == 0
    assert {"one  best 94.00 @40", "two  best 94.00 @40"} <= texts(tmp_path / "lfw.svg")


def test_a_loss_that_is_no_number_is_a_gap_and_a_part_can_be_shown(arcterm, trained, tmp_path):
    trained("one", bad=20)
    assert arcterm("chart", "one", "--from", "19", "--to", "21", "-o", "loss.csv")[0] == 0
    assert (tmp_path / "loss.csv").read_text() == "line,step,loss\none,19,15.25\none,20,nan\none,21,14.75\n"


def test_without_a_file_it_is_drawn_in_the_terminal(arcterm, trained, monkeypatch):
    trained("one"), trained("two")
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = arcterm("chart", "one", "two", "--metric", "lfw")
    lines = out.splitlines()
    assert code == 0 and lines[-1] == "  + two  best 94.00 @40" and max(map(len, lines)) <= 60
    assert "20" in arcterm("chart", "one")[1]


def test_a_curve_of_a_job_is_drawn_by_its_title(arcterm, tmp_path):
    job = store.create(
        tmp_path / "runs",
        JobConfig(name="score", group="megaface", paths=["/x"]),
        label="x",
        name="m",
        argv=[],
        host="h",
    )
    cmc = Curve(title="CMC", x="rank", y="rate", lines={"raw": [(1.0, 0.9), (10.0, 0.95)]}, log_x=True)
    write_report(job, JobReport(lines=[], curves=[cmc]))
    state.write_state(job, "done", attempt=1)
    assert arcterm("chart", "m", "-o", "cmc.svg")[0] == 0
    assert {"CMC", "raw"} <= texts(tmp_path / "cmc.svg")
    code, _, err = arcterm("chart", "m", "--metric", "roc", "-o", "roc.svg")
    assert code == 3 and "'CMC'" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["one", "--metric", "nope"], 2, "--metric takes loss, lr"),
        (["one", "-o", "x.jpg"], 2, ".svg, .png, .csv"),
        (["one", "--x", "moon"], 2, "step, epoch, time"),
        (["one", "-o", "nowhere/x.svg"], 3, "nowhere/x.svg can't be written"),
        (["one", "--from", "20", "--to", "10"], 2, "--from 20 leaves nothing before --to 10"),
        (["gone"], 4, "no run 'gone'"),
    ],
)
def test_a_mistake_is_explained(arcterm, trained, words, code, said):
    trained("one")
    assert (arcterm("chart", *words)[0], said in arcterm("chart", *words)[2]) == (code, True)
