"""``arcterm report``: one page with everything in it."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from arcterm_registry.contracts import Curve, JobReport

from arcterm.config import JobConfig
from arcterm.runs import state, store
from arcterm.runs.report import write_report


class Page(HTMLParser):
    """What a page shows and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shown, self.loads, self.tags = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        self.loads += re.findall(r"url\((.*?)\)", dict(attrs).get("style") or "")

    def handle_data(self, data):
        self.shown += data + " "


@pytest.fixture
def report(arcterm, tmp_path):
    """``report("one", "--pairs")`` → the page."""

    def make(*words: str) -> Page:
        code, out, err = arcterm("report", *words)
        assert (code, out.splitlines()[0]) == (0, "report.html"), err
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        return Page(text)

    return make


def verified(root, run, **data) -> None:
    """A verification of `run` that is done."""
    job = store.create(
        root,
        JobConfig(name="verify", group="", paths=[str(run.path)]),
        label="v",
        name="v",
        argv=[],
        host="h",
    )
    roc = Curve(title="ROC", x="FAR", y="TAR", lines={"lfw": [(1e-3, 0.5), (1.0, 1.0)]}, log_x=True)
    write_report(job, JobReport(lines=["lfw 0.99 <script>x</script>\x1b[31m"], data=data, curves=[roc]))
    state.write_state(job, "done", attempt=1)


def test_one_run_in_full(report, trained):
    trained("one")
    page = report("one")
    assert page.loads == [] and "script" not in page.tags
    assert page.tags.count("svg") == 9  # of six metrics, of all sets in one, and the rates of each
    for said in (
        "Curves",
        "Verification",
        "0.9400 ± 0.0040",
        "lfw: TAR at FAR",
        "loss: one",
        "arcterm train tiny arcface",
    ):
        assert said in page.shown, said
    assert "best 94.00 @40" in page.shown


def test_several_runs_over_one_another_and_what_differs(report, trained):
    trained("one"), trained("two", lr=0.2, loss_options={"margin": 0.4}), trained("three")
    page = report("one", "two", "three")
    table = page.shown[page.shown.index("Settings") :]
    differing = table[: table.index("all settings of one")]
    assert re.search(r"lr\s+0\.1\s+0\.2\s+0\.1", differing) and re.search(
        r"loss\.margin\s+–\s+0\.4\s+–", differing
    )
    assert "momentum" not in differing and "momentum" in table
    assert "lfw, verification" in page.shown and "as measured" not in page.shown


def test_verifications_of_a_run_are_part_of_it_with_their_roc(report, trained, tmp_path):
    verified(tmp_path / "runs", trained("one"))
    trained("other")
    page = report("one")
    assert "ROC" in page.shown and "lfw 0.99 <script>x</script>" in page.shown and "script" not in page.tags
    assert "ROC" not in report("other").shown
    assert "ROC" in report("v").shown  # the job by itself


def test_wrong_pairs_are_shown_as_pictures_when_asked(report, arcterm, trained, tmp_path):
    run = trained("one")
    folder = tmp_path / "wrong" / "lfw"
    folder.mkdir(parents=True)
    for side in "ab":
        cv2.imwrite(str(folder / f"000007-different-{side}.jpg"), np.full((112, 112, 3), 90, np.uint8))
    wrong = [
        {"pair": 7, "same": False, "distance": 0.5, "threshold": 1.5},
        {"pair": 8, "same": True, "distance": 2, "threshold": 1.5},
    ]
    code, _, err = arcterm("report", "one", "--pairs")
    assert code == 3 and "--show-errors" in err and not (tmp_path / "report.html").exists()
    data = {
        "errors": str(tmp_path / "wrong"),
        "verification": [{"set": "lfw", "wrong": 2, "wrong_pairs": wrong}],
    }
    verified(tmp_path / "runs", run, **data)
    page = report("one", "--pairs")
    assert len(page.loads) == 2 and all(each.startswith("data:image/jpeg;base64,") for each in page.loads)
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(page.loads[0][23:]), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (112, 112, 3)
    assert "pair 7: two people, distance 0.500" in page.shown and "pair 8" not in page.shown
    assert report("one").loads == []


@pytest.mark.long
def test_charts_as_png_beside_it(report, trained, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    trained("one")
    report("one", "--png")
    assert {"report-loss.png", "report-verification.png"} <= {path.name for path in tmp_path.glob("*.png")}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["one", "-o", "nowhere/r.html"], 3, "nowhere/r.html can't be written"), (["gone"], 4, "no run 'gone'")],
)
def test_a_mistake_is_explained(arcterm, trained, words, code, said):
    trained("one")
    found = arcterm("report", *words)
    assert found[0] == code and said in found[2]
