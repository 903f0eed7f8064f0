"""``arcterm diff``: what differs between runs."""

from __future__ import annotations

import csv
import io
import json

from arcterm.runs import store

from .test_notes_and_filters import arcterm, make, three  # noqa: F401  fixtures


def test_runs_are_held_side_by_side(arcterm, three):  # noqa: F811
    code, out, err = arcterm("diff", "high", "low")
    assert code == 0, err
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert "high (baseline)" in out.splitlines()[0]
    assert lines["lr"].split() == ["lr", "0.1", "0.01"]
    assert lines["loss"].split() == ["loss", "cosface", "arcface"]
    assert lines["loss.margin"].split() == ["loss.margin", "0.25", "0.025"]
    assert "backbone" not in lines  # the same in both
    assert lines["best lfw %"].split()[3:] == ["99.00", "@50", "95.00", "@50", "(-4.00)"]
    assert lines["best mean %"].split()[3:] == ["94.50", "@50", "92.50", "@50", "(-2.00)"]
    assert "backbone" in arcterm("diff", "high", "low", "--all")[1]


def test_scripts_get_json_and_csv(arcterm, three):  # noqa: F811
    found = json.loads(arcterm("diff", "high", "low", "--baseline", "low", "--json")[1])
    assert [run["name"] for run in found["runs"]] == ["high", "low"]
    assert found["baseline"] == found["runs"][1]["id"]
    assert found["settings"]["lr"] == ["0.1", "0.01"]
    best = found["verification"]["lfw"]
    assert best[0]["best"] == 0.99 and round(best[0]["difference"], 6) == 0.04
    assert best[1]["difference"] is None
    rows = list(csv.reader(io.StringIO(arcterm("diff", "high", "low", "--csv")[1])))
    assert rows[0] == ["key", "high", "low"]
    assert ["lr", "0.1", "0.01"] in rows


def test_a_job_and_a_damaged_run_have_what_can_be_read(arcterm, three, tmp_path):  # noqa: F811
    damaged = store.find(tmp_path / "runs", "low")
    (damaged.path / "run.json").write_text("{")
    code, out, _ = arcterm("diff", "high", "looked")
    assert code == 0 and "lr" in out
    code, out, _ = arcterm("diff", damaged.id, "high")
    assert code == 0 and "damaged" in out


def test_mistakes_are_said_in_words(arcterm, three):  # noqa: F811
    assert arcterm("diff", "high", "nothing")[0] == 4
    code, _, err = arcterm("diff", "high")
    assert code == 2 and "high alone differs from nothing" in err and "name another run" in err
    code, _, err = arcterm("diff", "high", "low", "--baseline", "looked")
    assert code == 2 and "is none of the runs" in err
