"""`arcterm plugins check` and `new`: strangers' code that hangs or dies, and packages written whole."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from pathlib import Path

import psutil
import pytest
from arcterm_registry.contracts import Submission

from arcterm import scaffold
from arcterm.cli import conformance

from ..inprocess import enter

pytestmark = pytest.mark.long

DECLARED = """
from arcterm_registry import Dataset
toy = Dataset(summary="a toy", factory="{module}:Faces", inspect="{module}:inspect", takes_path=False)
"""
SOUND = """
from types import SimpleNamespace
from arcterm_registry.contracts import DatasetFacts, Record
import numpy as np

class Faces:
    classes = 2
    def __init__(self):
        pairs = SimpleNamespace(images=[self[n].image for n in range(4)], same=np.array([True, False]))
        self.verification = {"pairs": pairs}
    def __len__(self):
        return 6
    def __getitem__(self, index):
        return Record(np.full((8, 8, 3), index, np.uint8), index % 2, f"toy {index}")

def inspect():
    return DatasetFacts(images=6, classes=2, image_size=(8, 8), fingerprint="f", verification={"pairs": 2})
"""
HANGS = SOUND.replace("    return DatasetFacts", "    while True: pass\n    return DatasetFacts")
STUBBORN = HANGS.replace(
    "while True: pass",
    "import faulthandler; faulthandler.cancel_dump_traceback_later()\n    while True: pass",
)
EXITS = SOUND.replace("    return DatasetFacts", "    import os; os._exit(0)\n    return DatasetFacts")
CRASHES = SOUND.replace(
    "    return DatasetFacts", "    import ctypes; ctypes.string_at(0)\n    return DatasetFacts"
)
SHOUTS = (
    SOUND
    + "\nimport os\nfor fd in range(3, 20):\n    try: os.write(fd, b'noise\\n')\n    except OSError: pass\n"
)
LEAVES = (
    SOUND + "\nimport subprocess, sys\n"
    "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('left', left.pid)\n"
)


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capfd):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder; processes' output included."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = enter(monkeypatch, *words)
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def toy(distribution, monkeypatch):
    """``toy(source)``: an installed data set ``toy`` with that code, in child processes too."""

    def install(source: str) -> None:
        site = distribution(
            "toys",
            entry_points="[arcterm.datasets]\ntoy = toyland:toy\n",
            toyland=DECLARED.format(module="toycode"),
        )
        (site / "toycode.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(site))

    return install


def outcomes(text):
    """Outcome by check of ``--json``."""
    return {f["check"]: f["outcome"] for f in json.loads(text)["findings"]}


def test_a_sound_plugin(arcterm, toy):
    toy(SOUND)
    code, out, err = arcterm("plugins", "check", "toy")
    assert (code, err) == (0, "checking toy; PyTorch takes a few seconds to start\n")
    assert "✓ threads        8 threads, 24 reads\n" in out
    assert out.splitlines()[-1].startswith("11 checks: 11 ok, in ")
    code, out, _ = arcterm("plugins", "check", "toys:toy", "--kind", "dataset", "--json")
    told = json.loads(out)
    assert (code, told["kind"], told["name"], told["passed"]) == (0, "dataset", "toys:toy", True)
    assert set(told["findings"][0]) == {"check", "outcome", "detail", "seconds"}


def test_a_failure_is_told_with_what_to_do_and_what_rests_on_it_is_skipped(arcterm, toy):
    toy(SOUND.replace("images=6", "images=7"))
    code, out, _ = arcterm("plugins", "check", "toy")
    assert code == 3
    assert (
        "✗ contents       its length is 6 and inspect() says 7\n                 → count one way in both\n"
        in out
    )
    assert "- records        rests on contents\n" in out
    assert "1 failed, 6 skipped" in out


def test_one_that_hangs_is_ended_and_says_where(arcterm, toy):
    toy(HANGS)
    code, out, err = arcterm("plugins", "check", "toy", "--time-limit", "2")
    assert code == 3
    assert "✗ inspect        not done after 2 s" in out
    assert "toycode.py" in err


def test_one_that_refuses_to_end_is_ended(arcterm, toy, monkeypatch):
    monkeypatch.setattr(conformance, "_GRACE", 0.2)
    toy(STUBBORN)
    code, out, _ = arcterm("plugins", "check", "toy", "--time-limit", "2", "--json")
    assert code == 3
    assert outcomes(out)["inspect"] == "failed"


@pytest.mark.parametrize(("source", "said"), [(EXITS, "exit code 0"), (CRASHES, "SIGSEGV")])
def test_one_that_dies_is_told(arcterm, toy, source, said):
    toy(source)
    code, out, err = arcterm("plugins", "check", "toy")
    assert code == 3
    assert "✗ inspect" in out
    assert said in out
    assert ("toycode.py" in err) == (source is CRASHES)


def test_one_that_writes_where_it_should_not_disturbs_nothing(arcterm, toy):
    toy(SHOUTS)
    code, out, err = arcterm("plugins", "check", "toy", "--json")
    assert code == 0
    assert set(outcomes(out).values()) == {"ok"}
    assert "noise" in err


def test_what_it_leaves_running_is_ended(arcterm, toy):
    toy(LEAVES)
    code, out, err = arcterm("plugins", "check", "toy", "--json")
    assert code == 0, out
    left = [int(line.split()[1]) for line in err.splitlines() if line.startswith("left ")]
    assert left
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in left if psutil.pid_exists(pid)], timeout=10)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_one_that_can_not_be_imported_fails(arcterm, distribution, monkeypatch):
    site = distribution(
        "sick", entry_points="[arcterm.losses]\nsick = sickness:x\n", sickness="raise OSError('ill')"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    code, out, err = arcterm("plugins", "check", "sick")
    assert (code, out) == (2, "")
    assert "sick 1.0 is broken: OSError: ill" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["arkface"], "there is no backbone, loss, data set, job, detector, tracker or launcher 'arkface'"),
        (["arkface", "--kind", "loss"], "did you mean arcface"),
        (["local", "--kind", "recipe"], "no checks for a recipe"),
        (["recordio"], "--path DIR"),
        (["demo", "--set", "people=3"], "no option 'people'; it has: identities"),
        (["demo", "--set", "identities=1"], "2 ≤ identities"),
    ],
)
def test_a_mistake_is_told_with_the_next_step(arcterm, words, said):
    code, out, err = arcterm("plugins", "check", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_two_kinds_with_one_name_must_be_chosen(arcterm, toy, distribution):
    toy(SOUND)
    distribution("other", entry_points="[arcterm.losses]\ntoy = elsewhere:x\n")
    code, _, err = arcterm("plugins", "check", "toy")
    assert code == 2
    assert "'toy' is a loss and a dataset" in err
    assert "--kind loss" in err


def test_the_list_is_what_it_was_and_help_shows_all_three(arcterm):
    plain = arcterm("plugins", "loss", "arcface")
    assert plain == arcterm("plugins", "list", "loss", "arcface")
    assert plain[0] == 0
    assert arcterm("plugins")[1] == arcterm("plugins", "list")[1]
    assert json.loads(arcterm("plugins", "--json", "launcher")[1])[0]["name"] == "local"
    _, out, _ = arcterm("plugins", "--help")
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()] == [
        "list",
        "check",
        "new",
    ]
    assert "[KIND] [NAME] | check NAME | new KIND NAME" in out


def test_a_detector_is_listed_with_where_its_weights_are_or_what_to_get(arcterm, monkeypatch, tmp_path):
    monkeypatch.delenv("ARCTERM_YUNET", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("ARCTERM_MTCNN", str(tmp_path / "mine"))
    code, out, _ = arcterm("plugins", "detector")
    assert code == 0
    assert f"mtcnn: weights: {tmp_path / 'mine'}" in out
    assert "yunet: no weights here; put face_detection_yunet" in out
    assert "no weights here" in arcterm("plugins", "detector", "yunet")[1]
    told = {plugin["name"]: plugin for plugin in json.loads(arcterm("plugins", "detector", "--json")[1])}
    assert told["mtcnn"]["weights"] == str(tmp_path / "mine")
    assert told["yunet"]["weights"] is None
    assert "opencv_zoo" in told["yunet"]["advice"]


def test_a_detector_whose_search_fails_is_listed_all_the_same(arcterm, distribution):
    distribution(
        "lost",
        entry_points="[arcterm.detectors]\nlost = lost_one:lost\n",
        lost_one="from arcterm_registry import Detector\n"
        "lost = Detector(summary='a toy', factory='nowhere:at_all', find='nowhere:find')\n",
    )
    code, out, _ = arcterm("plugins", "detector")
    assert code == 0
    assert "lost: its weights can't be looked for: ModuleNotFoundError" in out


@pytest.mark.parametrize("kind", scaffold.GROUPS)
def test_a_new_package_is_written_whole(arcterm, kind):
    code, out, err = arcterm("plugins", "new", kind, "my-own_1")
    assert code == 0, err
    place = Path("arcterm-my-own_1")
    assert out.splitlines()[:2][0] == "pip install -e arcterm-my-own_1"
    assert out.splitlines()[1].startswith("arcterm plugins check my-own_1")
    used = {"job": "arcterm job ", "detector": "arcterm align "}.get(kind, "arcterm train ")
    assert out.splitlines()[2].startswith(used)
    assert len(out.splitlines()) == 3
    project = tomllib.loads((place / "pyproject.toml").read_text())["project"]
    group = f"arcterm.{scaffold.GROUPS[kind]}"
    assert project["entry-points"][group] == {"my-own_1": f"arcterm_my_own_1:{kind}"}
    for file in place.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")
    assert not [f for f in place.rglob("*") if f.is_file() and "$" in f.read_text()]
    assert [p.name for p in Path().iterdir()] == [place.name]

    before = (place / "README.md").read_text()
    code, out, err = arcterm("plugins", "new", kind, "my-own_1")
    assert (code, out) == (3, "")
    assert "already exists" in err
    assert (place / "README.md").read_text() == before


def test_a_new_package_goes_where_it_is_told(arcterm):
    code, out, _ = arcterm("plugins", "new", "loss", "mine", "--dir", "a folder/mine", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["path"] == str(Path("a folder/mine").resolve())
    assert told["next"][0] == "pip install -e 'a folder/mine'"
    assert (Path("a folder/mine") / "arcterm_mine" / "margin.py").is_file()


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("net", "mine", "there is no template for a 'net'"),
        ("backbone", "r50", "there is a backbone 'r50' already, of arcterm"),
        ("loss", "registry", "there is a module 'arcterm_registry' already"),
        ("loss", "Mine", "can't be the name of a plug-in"),
        ("loss", "1st", "can't be the name"),
        ("loss", "../up", "can't be the name"),
        ("loss", "a--b", "can't be the name"),
        ("loss", "my:own", "can't be the name"),
    ],
)
def test_a_name_that_can_not_be_is_refused_and_nothing_is_written(arcterm, kind, name, said):
    code, out, err = arcterm("plugins", "new", kind, name)
    assert (code, out) == (2, "")
    assert said in err
    assert list(Path().iterdir()) == []


def test_a_disk_that_fails_half_way_leaves_nothing(arcterm, monkeypatch):
    written = Path.write_text

    def full(self, *given, **more):
        if self.name == "README.md":
            raise OSError(28, "No space left on device")
        return written(self, *given, **more)

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = arcterm("plugins", "new", "loss", "mine")
    assert code == 3
    assert "No space left" in err
    assert list(Path().iterdir()) == []


QSTAT = """\
#!{python}
import importlib
import json
import sys
jobs = {{
    "7.head": {{"job_state": "Q", "comment": "Not Running: Insufficient amount of resource: ngpus"}},
    "8.head": {{"job_state": "R", "exec_host": "n2/0*4+n1/0*4"}},
    "9.head": {{"job_state": "F"}},
}}
print(json.dumps({{"Jobs": jobs}}))
raise SystemExit(153)  # it does not know one of those asked for
"""


def test_the_launcher_that_new_writes_reads_its_engine(arcterm, tmp_path, monkeypatch):
    assert arcterm("plugins", "new", "launcher", "mine")[0] == 0
    monkeypatch.syspath_prepend(str(Path("arcterm-mine").resolve()))
    engine = importlib.import_module("arcterm_mine.engine")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "qstat").write_text(QSTAT.format(python=sys.executable))
    (programs / "qsub").write_text(f"#!{sys.executable}\nprint('8.head')\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    made = engine.Jobs(hosts=2, gpus=2, threads=2, queue="faces")
    takes = {"hosts": 2, "ranks": 2, "gpus": 2, "threads": 2, "grace": 9.0}
    run = Submission(run="r", name="", folder=tmp_path, command=["python", "it's"], **takes)
    assert made.check(run) == []
    assert made.submit(run) == "8.head"
    assert "select=2:ncpus=4:ngpus=2" in made.describe(run)
    found = made.state(["7.head", "8.head", "9.head", "10.head", "rm -rf"])
    assert [found[each].state for each in found] == ["queued", "running", "ended", "unknown", "unknown"]
    assert found["7.head"].reason.endswith("ngpus")
    assert found["8.head"].hosts == ["n1", "n2"]
    with pytest.raises(FileNotFoundError):
        made.stop("8.head", at_once=False)
