"""Runs that another engine than this machine starts: planned, handed in, queued, stopped, resumed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from arcterm_registry.contracts import EngineState

from arcterm.cli.app import build
from arcterm.config import TrainConfig, job_config
from arcterm.errors import ConfigError, RunError
from arcterm.files import write_json
from arcterm.launch import engine, start
from arcterm.launch.launchers import chosen
from arcterm.launch.launchers.refreshing import Refresher
from arcterm.launch.plan import make_plan
from arcterm.launch.resume import resumption
from arcterm.overrides import merge, parse_assignments
from arcterm.runs import state, store
from arcterm.runs.engines import record as records
from arcterm.runs.reading.logs import called, log_files
from arcterm.runs.state import Owner

from ..runs.conftest import config

ELSEWHERE = Owner(host="elsewhere", boot_id="b", pid=1, pid_start=1, launcher="farm", attempt=1, since=0.0)


def planned(tmp_path, *assignments, **settings):
    asked = {"backbone": "tiny", "loss": "arcface", "dataset": "demo", "launcher": "farm", **settings}
    return make_plan(merge(parse_assignments(assignments), asked), root=tmp_path)


@pytest.fixture
def submitted(farm, tmp_path):
    """A run that waits at the farm as 17."""
    plan = planned(tmp_path, "launcher.hosts=2", "launcher.gpus=4")
    return start.start(plan, tmp_path, name="far")


# --- planned


def test_hosts_and_gpus_come_from_the_launchers_options(farm, tmp_path, monkeypatch):
    monkeypatch.setattr("arcterm.gpus.select", lambda wanted: pytest.fail("this machine is looked at"))
    plan = planned(tmp_path, "launcher.hosts=3", "launcher.gpus=2", "launcher.field=a b")
    made = plan.config
    assert (made.device, made.hosts, made.gpus, made.nproc) == ("cuda", 3, [0, 1], 6)
    assert made.launcher_options == {"hosts": 3, "gpus": 2, "field": "a b"}
    said = "\n".join(plan.notes)
    assert "device    2 GPUs on each of 3 hosts of farm, which this machine does not look at" in said
    assert "launcher  farm, hosts 3, gpus 2, field a b" in said
    assert "what is free there shows when the ranks start" in said
    assert plan.estimate.free is None and not plan.estimate.problem
    assert made.command.startswith("arcterm train tiny arcface --dataset demo --launcher farm --batch-size")
    assert made.command.endswith("--set launcher.hosts=3 --set launcher.gpus=2 --set 'launcher.field=a b'")


def test_ranks_on_cpus_are_of_each_host(farm, tmp_path):
    made = planned(tmp_path, "launcher.hosts=2", nproc=3).config
    assert (made.device, made.hosts, made.gpus, made.nproc, made.ranks_each) == ("cpu", 2, [], 6, 3)
    assert "--nproc 3" in made.command


@pytest.mark.parametrize(
    ("assignments", "settings", "said"),
    [
        ([], {"gpus": "0,1"}, "names GPUs of this machine, and farm works on others"),
        (["launcher.gpus=4"], {"nproc": 2}, "--nproc 2 with 4 GPUs on each host"),
        (["launcher.hosts=0"], {}, "hosts 0 is outside its range: 1 ≤ hosts"),
        (["launcher.barns=2"], {}, "launcher farm has no option 'barns'"),
        (["launcher.hosts=2"], {"launcher": "local"}, "launcher.hosts is an option of another launcher"),
    ],
)
def test_what_can_not_be_asked_for_is_words(farm, tmp_path, assignments, settings, said):
    with pytest.raises(ConfigError) as raised:
        planned(tmp_path, *assignments, **settings)
    assert said in str(raised.value)


def test_what_the_launcher_finds_is_a_problem_of_the_plan(farm, tmp_path):
    Farm = farm
    Farm.problems.append("there is no field 'x' → give launcher.field, one of: a, b")
    plan = planned(tmp_path)
    assert "problem   farm: there is no field 'x'" in plan.notes
    with pytest.raises(ConfigError, match="no field 'x'") as raised:
        start.start(plan, tmp_path)
    assert raised.value.hint == "give launcher.field, one of: a, b"
    assert store.list_runs(tmp_path) == [] and Farm.given == []


def test_a_dry_run_prints_what_would_be_handed_in(farm, tmp_path, run_cli):
    out = run_cli("train", "tiny", "arcface", "--dataset", "demo", "--launcher", "farm", "--dry-run")
    assert out.stdout.splitlines()[0] == "farm 1 × 0"
    assert out.stdout.splitlines()[1].endswith(f"-m arcterm.processes.host {tmp_path}/runs/RUN")
    words = ["train", "tiny", "arcface", "--dataset", "demo", "--launcher", "farm", "--dry-run", "--json"]
    told = json.loads(run_cli(*words).stdout)
    assert told["launcher"] == "farm" and told["submission"].startswith("farm 1 × 0\n")
    assert farm.given == [] and store.list_runs(tmp_path / "runs") == []


def test_nnodes_are_the_hosts_of_a_launcher(farm, tmp_path, run_cli):
    words = ["train", "tiny", "arcface", "--dataset", "demo", "--launcher", "farm", "--nnodes"]
    assert run_cli(*words, "2", "--nproc", "3", "--name", "far", "--detach").exit_code == 0
    made = store.find(tmp_path / "runs", "far")
    assert (farm.given[0].hosts, farm.given[0].ranks, made.config.nproc) == (2, 3, 6)
    assert "--nnodes" not in made.config.command and "--set launcher.hosts=2" in made.config.command
    with pytest.raises(ConfigError, match="--nnodes 1:2 is a range, and farm is asked for a number"):
        run_cli(*words, "1:2")
    with pytest.raises(ConfigError, match="--rdzv is for hosts on which the command is given by hand"):
        run_cli(*words, "2", "--rdzv", "127.0.0.1:29400")
    run_cli("stop", "far")
    run_cli("resume", "far", "--nnodes", "3", "--detach", "--nproc", "2")
    assert (farm.given[1].hosts, farm.given[1].ranks) == (3, 2)


# --- handed in


def test_it_is_handed_in_and_waits(farm, submitted):
    (given,) = farm.given
    assert (given.run, given.name, given.folder) == (submitted.id, "far", submitted.path)
    assert given.command[1:] == ["-m", "arcterm.processes.host", str(submitted.path)]
    assert (given.hosts, given.ranks, given.gpus, given.grace) == (2, 4, 4, 30.0)
    now = state.read_state(submitted)
    assert (now.state, now.attempt, now.reason) == ("queued", 1, "farm 17")
    assert [p.name for p in submitted.record.plugins if p.kind == "launcher"] == ["farm"]
    assert records.read(submitted).id == "17"
    with pytest.raises(RunError, match="far is queued"):
        state.check_resumable(submitted)
    state.check_resumable(submitted, queued=True)  # by the process that the engine starts


def test_what_is_not_taken_is_a_failure_in_words(farm, tmp_path, monkeypatch):
    def refuse(what):
        raise OSError("no room in the field → use another")

    monkeypatch.setattr(farm, "does", staticmethod(lambda what: what == "submit" and refuse(what)))
    with pytest.raises(RunError, match="farm: no room in the field") as raised:
        start.start(planned(tmp_path), tmp_path)
    assert raised.value.hint == "use another"
    (made,) = store.list_runs(tmp_path)
    now = state.read_state(made)
    assert (now.state, now.reason) == ("failed", "it was not handed in: farm: no room in the field")
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: None))
    resumption.prepare(made).start()
    assert state.read_state(made).state == "queued"


def test_a_run_that_was_never_handed_in_is_lost_in_the_end(farm, tmp_path, monkeypatch):
    made = store.create(tmp_path, config(launcher="farm"), label="x", argv=[], host="h")
    state.write_state(made, "queued", attempt=1)
    assert state.read_state(made).state == "queued"
    monkeypatch.setattr(state, "_SUBMIT_SECONDS", -1.0)
    assert "it was not handed in to its engine; `arcterm resume" in state.read_state(made).reason


def test_a_queued_run_of_another_engine_waits_there_and_not_here(farm, tmp_path, submitted):
    with pytest.raises(ConfigError, match="--after waits on this machine"):
        start.start(planned(tmp_path), tmp_path, after=submitted)


def test_seeds_are_handed_in_together(farm, tmp_path, run_cli):
    train = ["train", "tiny", "arcface", "--dataset", "demo", "--launcher", "farm", "--detach"]
    run_cli(*train, "--seed", "1-3", "--name", "s")
    assert [given.name for given in farm.given] == ["s-s1", "s-s2", "s-s3"]


# --- asked about


def test_the_engine_says_why_it_waits_and_when_it_starts(farm, submitted):
    at = time.time() + 90_000
    farm.answers["17"] = EngineState(state="queued", reason="Priority", start=at, raw="PD")
    assert engine.refresh([submitted]) == []
    assert farm.calls == [["17"]]
    now = state.read_state(submitted)
    assert now.state == "queued"
    assert (
        now.reason == f"farm 17: Priority, starts about {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}"
    )


def test_what_an_engine_writes_reaches_no_terminal_as_it_is(farm, submitted):
    farm.answers["17"] = EngineState(state="queued", reason="\x1b[31mred\x1b[0m\nend\u202e" + "x" * 5000)
    engine.refresh([submitted])
    reason = state.read_state(submitted).reason
    assert reason.startswith("farm 17: red endxxx") and len(reason) < 700


def test_runs_of_the_same_options_are_asked_about_in_one_call(farm, tmp_path):
    runs = [start.start(planned(tmp_path, seed=seed), tmp_path) for seed in (1, 2)]
    runs += [start.start(planned(tmp_path, "launcher.field=b"), tmp_path)]
    runs += [store.create(tmp_path, config(), label="x", argv=[], host="h")]
    engine.refresh(runs)
    assert farm.calls == [["17", "18"], ["19"]]


def test_one_that_ended_before_it_began_is_lost(farm, submitted):
    farm.answers["17"] = EngineState(state="ended", reason="the farmer took it back", raw="CA")
    engine.refresh([submitted])
    now = state.read_state(submitted)
    assert now.state == "lost"
    assert now.reason.startswith(
        "farm 17 ended before the run began: the farmer took it back; `arcterm resume"
    )
    resumption.prepare(submitted).start()
    assert (state.read_state(submitted).reason, farm.given[1].run) == ("farm 18", submitted.id)


def test_one_that_is_put_back_into_the_queue_is_queued_again(farm, submitted):
    begin(submitted)
    farm.answers["17"] = EngineState(state="running", hosts=["n1", "n2"])
    engine.refresh([submitted])
    assert state.read_state(submitted).state == "running"
    state.write_state(submitted, "stopped", attempt=1, step=40, reason="preempted")
    engine.refresh([submitted])
    assert state.read_state(submitted).state == "stopped"  # it ends, as the engine sees it
    farm.answers["17"] = EngineState(state="queued", reason="BeginTime")
    engine.refresh([submitted])
    now = state.read_state(submitted)
    assert (now.state, now.step, now.reason) == ("queued", 40, "farm 17: BeginTime")
    with pytest.raises(RunError, match="far is queued"):
        resumption.prepare(submitted)
    begin(submitted, attempt=2)
    assert state.read_state(submitted).state == "running"
    state.write_state(submitted, "done", attempt=2)
    assert state.read_state(submitted).state == "done"


def test_an_engine_that_raises_or_hangs_is_a_line(farm, submitted, monkeypatch):
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: 1 / 0))
    (said,) = engine.refresh([submitted])
    assert said == "farm: division by zero: what it holds is as it was last heard of"
    monkeypatch.setattr(engine, "_ASK_SECONDS", 0.05)
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: time.sleep(1)))
    (said,) = engine.refresh([submitted])
    assert "farm has not answered for" in said
    assert state.read_state(submitted).reason == "farm 17"


def test_what_the_engine_forgot_of_a_run_that_is_over_is_not_asked_again(farm, submitted):
    begin(submitted)
    state.write_state(submitted, "done", attempt=1)
    for _ in range(2):
        engine.refresh([submitted])
    assert farm.calls == [["17"]] and records.read(submitted).state == "ended"


# --- stopped


def test_a_waiting_run_is_taken_back(farm, submitted):
    said = start.stop(submitted)
    assert said == "far: stopped while it waited at farm as 17"
    assert farm.calls == [("17", False)]
    now = state.read_state(submitted)
    assert (now.state, now.attempt) == ("stopped", 1)
    resumption.prepare(submitted).start()
    assert state.read_state(submitted).state == "queued"


def test_a_running_one_is_ended_at_once_by_its_engine(farm, submitted):
    begin(submitted)
    assert "asked far to stop after a checkpoint" in start.stop(submitted)
    assert farm.calls == []  # the request lies in its directory
    assert start.stop(submitted, now=True) == "asked farm to end 17, at once"
    assert farm.calls == [("17", True)]


def test_one_that_waits_is_removed(farm, submitted, run_cli, tmp_path):
    assert run_cli("rm", "far", "--yes", "--runs-dir", str(tmp_path)).exit_code == 0
    assert farm.calls == [("17", True)]
    assert store.list_runs(tmp_path) == []


# --- resumed


def test_a_resume_takes_another_launcher_and_other_hosts(farm, submitted):
    start.stop(submitted)
    asked = parse_assignments(["launcher.hosts=4", "launcher.gpus=2"])
    begun = resumption.prepare(submitted, asked)
    assert begun.settings["launcher_options"][1] == {"hosts": 4, "gpus": 2, "field": ""}
    assert "launcher  farm, hosts 4, gpus 2" in begun.lines
    begun.start()
    assert (farm.given[1].hosts, farm.given[1].gpus, farm.given[1].ranks) == (4, 2, 2)
    assert submitted.config.nproc == 8 and submitted.record.config.hosts == 4


def test_a_resume_that_the_launcher_refuses_changes_nothing(farm, submitted):
    start.stop(submitted)
    farm.problems.append("there is no field 'y' → give launcher.field")
    with pytest.raises(ConfigError, match="farm: there is no field 'y'"):
        resumption.prepare(submitted, parse_assignments(["launcher.field=y"]))
    assert submitted.changes == [] and state.read_state(submitted).state == "stopped"


# --- jobs


def test_a_job_on_ranks_goes_the_same_way(farm, tmp_path):
    (tmp_path / "faces").mkdir()
    asked = job_config("arcterm:align", [tmp_path / "faces", tmp_path / "out"], {})
    made = start.job(asked, tmp_path / "runs", launcher=chosen.choose("farm", {"hosts": "2"}), nproc=2)
    assert (made.record.config.hosts, made.record.config.nproc) == (2, 4)
    assert made.record.config.command.endswith("--launcher farm --launcher-set hosts=2")
    assert (farm.given[0].ranks, farm.given[0].hosts) == (2, 2)


def test_a_job_on_ranks_is_described(farm, tmp_path, run_cli):
    (tmp_path / "faces").mkdir()
    words = ["align", "faces", "out", "--launcher", "farm", "--launcher-set", "hosts=2", "--dry-run"]
    assert run_cli(*words).stdout.startswith("farm 2 × 0\n")
    told = json.loads(run_cli(*words, "--json").stdout)
    assert (told["config"]["hosts"], told["faults"]) == (2, [])
    assert farm.given == [] and not (tmp_path / "runs").exists()


# --- an engine of this machine


def test_another_engine_of_this_machine_uses_its_devices(farm, tmp_path):
    made = planned(tmp_path, launcher="barn", gpus="none", nproc=2).config
    assert (made.is_local, made.is_remote, made.nproc, made.hosts) == (False, False, 2, 1)


def test_the_record_of_an_older_run_is_of_this_machine():
    made = TrainConfig(
        backbone="a", loss="b", dataset="c", device="cpu", nproc=1, batch_size=1, epochs=1, steps=1, lr=1.0
    )
    assert (made.launcher, made.hosts, made.launching) == ("local", 1, {})
    assert config(launcher="gone").is_remote  # its package is not here to be asked


def begin(run, attempt: int = 1) -> None:
    """The process on the farm takes the run."""
    run.attempt_dir(attempt).mkdir(parents=True, exist_ok=True)
    write_json(run.path / "owner.json", ELSEWHERE.__class__(**{**_fields(), "attempt": attempt}))
    state.beat(run)
    state.write_state(run, "running", attempt=attempt)


def _fields() -> dict[str, object]:
    return {name: getattr(ELSEWHERE, name) for name in ELSEWHERE.__struct_fields__}


@pytest.fixture
def run_cli(tmp_path, monkeypatch):
    """``run_cli("runs")``: a command in this process, with runs in ``runs``."""
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)

    def call(*words):
        done = CliRunner().invoke(build(list(words)), list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    return call


# --- seen


def test_lists_say_why_it_waits_and_which_engine_is_silent(farm, submitted, run_cli, tmp_path, monkeypatch):
    farm.answers["17"] = EngineState(state="queued", reason="Resources")
    there = ["--runs-dir", str(tmp_path)]
    assert "farm 17: Resources" in run_cli("runs", *there).stdout
    (told,) = json.loads(run_cli("runs", "--json", *there).stdout)
    assert (told["state"], told["reason"]) == ("queued", "farm 17: Resources")
    assert (told["engine"]["id"], told["engine"]["state"]) == ("17", "queued")
    farm.answers["17"] = EngineState(state="running", hosts=["n1", "n2"])
    shown = run_cli("show", "far", *there).stdout
    assert "engine            farm 17: running on n1, n2" in shown
    assert f"engine log        {Path(__file__).with_name('farm.py')}" in shown
    assert [called(path) for path in log_files(submitted)] == ["engine farm.py"]
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: 1 / 0))
    assert "farm: division by zero" in run_cli("runs", *there).output
    assert (tmp_path / ".held" / submitted.id).exists()


def test_whoever_draws_never_waits_for_an_engine(farm, submitted, monkeypatch):
    asked, answer = threading.Event(), threading.Event()
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: (asked.set(), answer.wait(30))))
    refresher = Refresher(lambda: [submitted])
    for _ in range(3):
        refresher.look()
    assert asked.wait(30) and refresher.troubles == []
    farm.answers["17"] = EngineState(state="queued", reason="Priority")
    answer.set()
    refresher.wait()
    assert state.read_state(submitted).reason == "farm 17: Priority"
    refresher.look()
    refresher.wait()
    assert farm.calls == [["17"]]  # it is not asked again within seconds
