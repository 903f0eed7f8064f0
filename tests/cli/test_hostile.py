"""Strangers' text: whatever a run, a pack or a plug-in is called, none of it acts on the terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys

import cv2
import numpy as np
import pytest
from arcterm_registry.contracts import DatasetFacts, JobReport

from arcterm import files
from arcterm.cli import conformance
from arcterm.cli.runs import live, watch
from arcterm.config import job_config
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.runs import state, store
from arcterm.runs.events import Gpu, Gpus, Message, Phase, Skipped, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader
from arcterm.runs.reading.summary import Summary
from arcterm.runs.report import write_report
from arcterm.show import drawing
from arcterm.show.output import ProgressLine

from ..inprocess import enter
from ..runs.conftest import config
from ..runs.test_text import HOSTILE

EVIL = HOSTILE.replace("\udcff", "").replace("\ud800", "").replace("\x00", "")
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), none of which acts on a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        code = enter(monkeypatch, *words)
        out, err = capsys.readouterr()
        assert not ACTS.search(out), repr(out)
        assert not ACTS.search(err), repr(err)
        out.encode(), err.encode()
        return code, out, err

    return call


def step(**more):
    return Step(
        step=100, epoch=2, loss=1.0, accuracy=0.5, angle=60.0, lr=0.1, images_per_second=5.0, samples=1,
        data_wait=0.0, **more,
    )  # fmt: skip


EVENTS = (
    Start(rank=0, world_size=1, host=EVIL, pid=1, device=EVIL, step=0, steps=100),
    step(),
    Verify(step=100, set=EVIL, accuracy=0.9, std=0.1, threshold=1.0, tar=0.5, xnorm=20.0, pairs=60),
    Message(level="warning", text=EVIL),
    Message(level="info", text=""),
    Gpus(host=EVIL, gpus=[Gpu(index=0, name=EVIL)], note=EVIL),
    Skipped(rank=0, index=1, source=EVIL, reason=EVIL, count=1, total=2),
    Phase(phase=EVIL, detail=EVIL, done=1, total=2),
    Phase(phase="loading", detail=EVIL),
)


@pytest.fixture
def training(tmp_path):
    """A failed training of another's, copied here."""
    run = store.create(tmp_path / "runs", config(), label="x", name="theirs", argv=[EVIL], host=EVIL)
    journal = Journal(run.events, 1, 0)
    for event in EVENTS:
        journal.write(event)
    journal.close()
    record = json.loads((run.path / "run.json").read_text())
    record["config"] |= {"backbone": EVIL, "loss": EVIL, "dataset": EVIL, "dataset_options": {EVIL: EVIL}}
    files.write_json(run.path / "run.json", record)
    failure = state.Failure(
        rank=1, cause=EVIL, error=EVIL, hint=EVIL, traceback=f"{EVIL}\n{EVIL}", log=EVIL, exit_code=3
    )
    state.write_state(run, "failed", attempt=1, failure=failure, reason=EVIL)
    return run


@pytest.fixture
def job(tmp_path):
    """A checked pack of another's."""
    run = store.create(
        tmp_path / "runs", job_config("check", [f"/x/{EVIL}"], {}), label="x", argv=[EVIL], host=EVIL
    )
    journal = Journal(run.events, 1, 0)
    for event in EVENTS[3:]:
        journal.write(event)
    journal.close()
    write_report(run, JobReport(lines=[EVIL, EVIL], data={EVIL: EVIL}, problems=2, result=EVIL))
    state.write_state(run, "done", attempt=1)
    return run


def test_a_run_of_strangers(arcterm, training, job):
    assert "ared" in arcterm("runs")[1]
    for run, code in ((training, 5), (job, 3)):
        assert "ared" in arcterm("show", run.id)[1]
        left, out, err = arcterm("attach", run.id, "--plain")
        assert (left, "evil" in out, "evil" in err) == (code, True, True)
    assert json.loads(arcterm("attach", job.id, "--json")[1]) == {EVIL: EVIL}
    assert json.loads(arcterm("show", training.id, "--json")[1])["failure"]["cause"] == EVIL
    assert arcterm("rm", training.id, "--yes")[0] == 0


@pytest.mark.parametrize("view", [live.Live, live.JobLive])
def test_a_run_drawn_in_a_terminal(training, job, view, monkeypatch):
    run = job if view is live.JobLive else training
    drawn = io.StringIO()
    shown = view(run)
    shown._console = drawing.OutputConsole(
        file=drawn, force_terminal=True, width=120, color_system="truecolor"
    )
    summary = Reader(run).refresh()
    for status in ("running", "failed"):
        shown._console.print(shown._picture(state.State(state=status), summary, EVIL))
    shown.close()
    left = OURS.sub("", drawn.getvalue())
    assert "evil" in left
    assert not ACTS.search(left), repr(left)


def test_a_pack_of_strangers(arcterm, tmp_path):
    name = EVIL.replace("/", "").replace("\n", "")
    with write_pack(tmp_path / "p", (16, 16)) as writer:
        for n in range(2):
            image = cv2.imencode(".jpg", np.full((16, 16, 3), 9 * n, np.uint8))[1].tobytes()
            writer.add(image, n, name)
        write_pairs(writer.directory / f"{name[:60]}.bin", [image, image] * 3, [True, True, False])
    (tmp_path / "p" / "train.crc").unlink()  # which takes no file of such a name
    code, out, err = arcterm("data", "show", "p", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["people"][0]["name"][:20] == name[:20]
    assert "evil" in arcterm("data", "show", "p", "--width", "40")[1]
    assert "ared" in arcterm("data", "show", "p", "--pairs", "--width", "40")[1]


@pytest.mark.long
def test_a_plugin_of_strangers(arcterm, distribution):
    said = repr(EVIL)
    distribution(
        "evil",
        entry_points="[arcterm.losses]\nbad = evil_bad:x\ngood = evil_good:x\nchecks = evil_checks:x\n",
        evil_bad=f"raise RuntimeError({said})",
        evil_checks="from arcterm_registry import Loss\n"
        "x = Loss(summary='s', factory='a:b', check='evil_checks:y')"
        f"\ndef y(): raise KeyError({said})",
        evil_good=f"from arcterm_registry import Loss, Option\n"
        f"x = Loss(summary={said}, factory='a:b', paper={said},"
        f" options=(Option(name={said}, type=str, default={said}, help={said}),))",
    )
    code, out, err = arcterm("plugins", "loss")
    assert (code, "evil" in out, "evil" in err) == (0, True, True)
    assert "evil" in arcterm("plugins", "loss", "good")[1]
    assert json.loads(arcterm("plugins", "loss", "good", "--json")[1])[0]["summary"] == EVIL
    assert arcterm("train", "tiny", "bad")[0] == 2
    assert arcterm("train", "tiny", "checks")[0] == 2
    assert arcterm("train", "tiny", "good", "--set", "loss.x=1")[0] == 2
    for line in conformance.lines({"check": EVIL, "outcome": "failed", "detail": f"{EVIL} → {EVIL}"}):
        assert line


@pytest.mark.parametrize(
    "words",
    [
        ("train", EVIL, EVIL),
        ("train", "tiny", "arcface", "--dataset", f"./{EVIL}"),
        ("train", "tiny", "arcface", "--dataset", EVIL),
        ("train", "tiny", "arcface", "--set", EVIL),
        ("train", "tiny", "arcface", "--set", f"{EVIL}=1"),
        ("train", "tiny", "arcface", "--set", f"lr={EVIL}"),
        ("train", "tiny", "arcface", "--lr", EVIL),
        ("train", "tiny", "arcface", "--config", EVIL),
        ("train", "tiny", "arcface", f"--{EVIL}"),
        ("train", "tiny", "arcface", "--gpus", EVIL),
        ("train", "tiny", "arcface", "--name", EVIL),
        ("train", "tiny", "arcface", "--pretrained", EVIL),
        ("runs", "--runs-dir", EVIL),
        ("show", "x", "--runs-dir", EVIL),
        ("show", EVIL),
        ("data", "check", EVIL),
        ("data", EVIL),
        ("data", "show", EVIL),
        ("model", "show", EVIL),
        ("model", "import", "x.pt", "-o", EVIL),
        ("embed", EVIL, EVIL),
        ("plugins", EVIL),
        ("plugins", "loss", EVIL),
        ("plugins", "check", EVIL),
        (EVIL,),
        ("runs", EVIL),
        ("show", "\udcff\udc80"),
        ("runs", "--runs-dir", "\udcff"),
        ("data", "show", "\udcff"),
        ("train", "tiny", "arcface", "--dataset", "./\udcff"),
    ],
)
def test_a_persons_own_mistake_is_not_echoed_raw(arcterm, words):
    code, out, err = arcterm(*words)
    assert code in ((0,) if words[0] == "runs" and "--runs-dir" in words else (2, 3, 4))
    assert out + err


def test_what_is_drawn_in_place_is_clean(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    ProgressLine(EVIL)(1, 2)
    ProgressLine()(1, 2, EVIL)
    left = sys.stderr.getvalue().replace("\r\x1b[K", "").replace("\r", "")
    assert "evil" in left and not ACTS.search(left)


def test_lines_of_a_view_stay_lines(capsys):
    summary = Summary()
    view = watch.Lines(to_stderr=False)
    events = [
        (0, Skipped(rank=0, index=1, source="a\nverify  step 1  lfw 0.99", reason="x", count=1, total=2))
    ]
    summary.feed(events)
    view.show(state.State(state="running"), summary, events, "")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_in_a_real_terminal_only_our_own_sequences_are_sent(training, tmp_path):
    """`attach` in a terminal of its own: what comes out is Rich's, and text."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        os.execv(sys.executable, [sys.executable, "-m", "arcterm", "attach", training.id])
    said = b""
    while chunk := _read(terminal):
        said += chunk
    os.close(terminal)
    os.waitpid(pid, 0)
    text = said.decode("utf-8")
    assert "theirs" in text and "evil" in text
    left = OURS.sub("", text).replace("\r", "")
    assert not ACTS.search(left), repr(left)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def facts(*_):
    return DatasetFacts(
        images=1000,
        classes=10,
        image_size=(112, 112),
        fingerprint="x",
        verification={EVIL: 100},
        problems=(EVIL,),
    )


def test_a_plan_names_strangers_sets(arcterm, monkeypatch):
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", facts)
    code, _, err = arcterm("train", "tiny", "arcface", "--dry-run", "--gpus", "")
    assert (code, "evil" in err) == (0, True)
