"""What every command has in common: where it writes, in which encoding, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from arcterm_registry.contracts import JobReport

from arcterm.cli import app
from arcterm.runs import state, store
from arcterm.runs.events import Message, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.report import write_report
from arcterm.show import output, streams
from arcterm.show.output import ProgressLine, put, say, table

from ..inprocess import enter, in_process
from ..runs.conftest import config

ARCTERM = [sys.executable, "-m", "arcterm"]
ROOT = Path(__file__).resolve().parents[2]


def every_command() -> list[tuple[str, ...]]:
    """The words of every command and subcommand."""
    found: list[tuple[str, ...]] = [()]
    for name in app.COMMANDS:
        command = typer.main.get_command(app.build([name])).commands[name]
        found += [(name,), *((name, below) for below in getattr(command, "commands", {}))]
    return found


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    return in_process(monkeypatch, capsys)


@pytest.fixture
def run(tmp_path):
    """A training that has verified a set."""
    made = store.create(tmp_path / "runs", config(), label="x", name="zo-1", argv=[], host="h")
    journal = Journal(made.events, 1, 0)
    journal.write(Start(rank=0, world_size=1, host="h", pid=1, device="cpu", step=0, steps=100))
    for n in (99, 100):
        journal.write(
            Step(
                step=n, epoch=2, loss=1.25, accuracy=0.5, angle=60.0, lr=0.1, images_per_second=5.0,
                samples=n, data_wait=0.0,
            )
        )  # fmt: skip
    journal.write(Verify(step=100, set="lfw", accuracy=0.9, std=0.1, threshold=1.0, xnorm=20.0, pairs=60))
    journal.write(Message(level="warning", text="張 → é"))
    journal.close()
    return made


# --- -h


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_h_is_help_everywhere(arcterm, words):
    code, out, err = arcterm(*words, "-h")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: arcterm") and "-h, --help" in out
    assert arcterm(*words, "--help") == (code, out, err)


# --- encodings


def test_what_an_encoding_lacks_is_written_as_something_near_to_it(monkeypatch):
    for encoding, wanted in (
        ("ascii", "2 x 3 +- 0.1 -> a-b ... 60 deg  e ?"),
        ("latin-1", "2 × 3 ± 0.1 -> a-b ... 60°  é ?"),
        ("utf-8", "2 × 3 ± 0.1 → a–b … 60°  é 張"),
    ):
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        streams.prepare()
        put("2 × 3 ± 0.1 → a–b … 60°  é 張")
        say("2 × 3 ± 0.1 → a–b … 60°  é 張")
        for stream in (sys.stdout, sys.stderr):
            assert stream.buffer.getvalue().decode(encoding) == wanted + "\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    "words", [*every_command(), ("train", "r5", "arcface"), ("plugins", "loss", "arcface")]
)
def test_help_and_reports_are_written_in_any_encoding(monkeypatch, tmp_path, encoding, words):
    monkeypatch.chdir(tmp_path)
    last = () if words[1:] in (("r5", "arcface"), ("loss", "arcface")) else ("--help",)
    _encoded(monkeypatch, encoding, *words, *last)


def _encoded(monkeypatch, encoding, *words) -> str:
    """What a command writes to a stdout and a stderr of that encoding."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    enter(monkeypatch, *words)
    sys.stdout.flush(), sys.stderr.flush()
    return "".join(stream.buffer.getvalue().decode(encoding) for stream in (sys.stdout, sys.stderr))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "iso8859-5"])
def test_runs_are_shown_in_any_encoding(monkeypatch, tmp_path, run, encoding):
    monkeypatch.chdir(tmp_path)
    state.write_state(run, "failed", attempt=1, reason="張", failure=state.Failure(cause="張 → ±"))
    for words in (("runs",), ("show", "last"), ("attach", "last", "--plain"), ("attach", "last")):
        text = _encoded(monkeypatch, encoding, *words)
        assert "zo" in text and ("+-" in text or "±" in text or words == ("runs",))
    told = _encoded(monkeypatch, encoding, "show", "last", "--json")
    assert json.loads(told)["failure"]["cause"] == "張 → ±"


# --- exit codes


def test_the_exit_codes_are_in_the_documentation():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = [line for line in text.partition("## Exit codes")[2].splitlines() if line.startswith("| ")]
    codes = [line.split("|")[1].strip() for line in rows if line.split("|")[1].strip().isdigit()]
    assert codes == ["0", "1", "2", "3", "4", "5", "130"]


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [("done", "", 0), ("stopped", "on request", 130), ("failed", "boom", 5), ("lost", "gone", 5)],
)
def test_a_watched_training_ends_as_the_training(arcterm, run, status, reason, code):
    state.write_state(run, status, attempt=1, reason=reason)
    left, out, err = arcterm("attach", "last", "--plain")
    assert left == code
    assert "step    100/100" in out and "Traceback" not in err
    if status in ("stopped", "lost"):
        assert "begins again: nothing was saved yet" in err
    assert arcterm("attach", "last", "--json")[0] == code


def test_the_report_of_a_check_goes_to_stdout(arcterm, tmp_path):
    from arcterm.config import job_config

    made = store.create(tmp_path / "runs", job_config("check", ["/x"], {}), label="x", argv=[], host="h")
    write_report(made, JobReport(lines=["5 images", "1 of them is damaged"], data={"n": 1}, problems=1))
    state.write_state(made, "done", attempt=1)
    code, out, err = arcterm("attach", "last")
    assert (code, out) == (3, "5 images\n1 of them is damaged\n")
    assert "1 problem found" in err
    code, out, err = arcterm("attach", "last", "--json")
    assert (code, json.loads(out)) == (3, {"n": 1})


def test_ctrl_c_ends_with_130_wherever_it_comes(arcterm, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("arcterm.runs.store.scan", interrupted)
    assert arcterm("runs") == (130, "", "")
    monkeypatch.setattr("arcterm.cli.app.import_module", interrupted)
    assert arcterm("train", "tiny", "arcface") == (130, "", "")


def test_an_answer_of_no_ends_with_130_and_removes_nothing(arcterm, monkeypatch, run):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    state.write_state(run, "done", attempt=1)
    for answer in ("n\n", ""):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        code, out, _ = arcterm("rm", run.id)
        assert (code, out.strip()) == (130, "")
        assert run.path.is_dir()


def test_an_error_of_our_own_is_a_traceback_and_1(arcterm, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("a fault \x1b[2J of ours")

    monkeypatch.setattr("arcterm.runs.store.scan", broken)
    code = enter(monkeypatch, "runs")
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.startswith("Traceback") and err.endswith("RuntimeError: a fault  of ours\n")


@pytest.mark.long
def test_a_reader_that_has_had_enough_is_no_error(tmp_path):
    env = {**os.environ, "ARCTERM_RUNS": str(tmp_path)}
    for words in (["plugins"], ["--help"], ["--version"], ["train", "--help"], ["runs"], ["show", "x"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*ARCTERM, *words],
            stdout=writing,
            stderr=subprocess.PIPE if words[0] != "show" else writing,
            env=env,
            check=False,
        )
        os.close(writing)
        assert done.returncode == (4 if words[0] == "show" else 0), done.stderr
        assert not done.stderr or b"no runs" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_no_room_for_the_output_is_said(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*ARCTERM, "plugins"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 5
    assert "No space left" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.long
def test_closed_streams_are_no_error(tmp_path):
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&-"):
        command = f"{' '.join(ARCTERM)} runs --runs-dir {tmp_path} {closed}"
        assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0


WAITING = """
import sys, time
from arcterm.cli import main
sleep = time.sleep
time.sleep = lambda seconds: (print("it waits", file=sys.stderr, flush=True), sleep(seconds))
main()
"""


@pytest.mark.slow
def test_ctrl_c_in_processes(tmp_path):
    """A command that waits for its process, and one that waits for a run to end."""
    made = store.create(tmp_path / "runs", config(), label="x", name="live", argv=[], host="h")
    (made.path / "attempts" / "0001").mkdir()
    state.take_ownership(made, 1, "local")
    state.write_state(made, "running", attempt=1)
    for words in (["attach", "live"], ["stop", "live"], ["attach", "live", "--plain", "--json"]):
        process = subprocess.Popen(
            [sys.executable, "-c", WAITING, *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "it waits" not in (line := process.stderr.readline()):
            assert line, "it ended before it waited"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "Traceback" not in err


# --- the rest


def test_cells_of_a_table_are_cleaned_before_they_are_measured():
    assert table(["A", "B"], [["中文", "y"], ["abc", "z"]]) == ["A     B", "中文  y", "abc   z"]
    assert table(["A", "B"], [["\x1b[31mx\x1b[0m", "y\nz"], ["longer", "w"]]) == [
        "A       B",
        "x       y z",
        "longer  w",
    ]


def test_progress_in_place_says_how_long_it_goes_on_once_its_pace_is_known(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    clock = iter([0.0, 1.0, 30.0, 31.0, 40.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = ProgressLine("measuring")
    for done, what in ((2, ""), (3, ""), (5, ""), (0, "loading"), (11, "loading")):
        shown(done, 11, what)
    assert sys.stderr.getvalue().split("\r\x1b[K") == [
        *("", "measuring: 2 of 11", "measuring: 3 of 11", "measuring: 5 of 11, 60 s left"),
        *("loading: 0 of 11", ""),
    ]
