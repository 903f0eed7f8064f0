"""What Slurm's commands print, recorded from 22.05, as the states of runs; no cluster is needed."""

from __future__ import annotations

import re
import subprocess

import pytest

from arcterm.errors import RunError
from arcterm.launch.slurm import batch, cluster, commands, polling, reasons
from arcterm.launch.slurm.commands import SilentError
from arcterm.launch.slurm.options import SlurmOptions

SQUEUE = """\
15|COMPLETED|None|1796066589|n[1-2]|low|(null)
17|PENDING|Resources|1796067489||low|(null)
20|PENDING|Priority|1796068080||low|arcterm: preempted
19|PENDING|JobHeldUser|N/A||low|(null)
16|RUNNING|None|1796066889|n[1-2]|low|(null)
18|PENDING|PartitionDown|N/A||night|a | b
21|PENDING|ReqNodeNotAvail, UnavailableNodes:n[1-2]|N/A||low|(null)
9|CANCELLED|None|1796066474|n[1-2]|low|(null)
4|FAILED|BadConstraints|1796066464||low|(null)
"""
SHOW = (
    "JobId=13 JobName=long.sh UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901748 Nice=0 "
    "Account=(null) QOS=(null) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=0 "
    "BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:06 TimeLimit=1 TimeMin=N/A SubmitTime=1796066501 "
    "PreemptEligibleTime=1796066501 PreemptTime=1796066503 SuspendTime=None CPUs/Task=1 ReqB:S:C:T=0:0:*:* "
    "Command=/tmp/a b/JobState=X StdOut=/tmp/a b/p13.out Power= \n"
)
SINFO = """\
gpu|2-00:00:00|30|gpu:a100:4(S:0-1)|64
gpu|2-00:00:00|2|gpu:h100:8,nvme:1|96+
low|infinite|2|(null)|2
"""


@pytest.fixture
def answers(monkeypatch):
    """``answers(squeue=…)``: what the commands print; an exception is raised, the others refuse."""

    def stand_in(**texts):
        def ask(words, **how):
            said = texts.get(words[0], RunError(f"{words[0]} refuses"))
            said = said(words) if callable(said) else said
            if isinstance(said, Exception):
                raise said
            return said

        monkeypatch.setattr(commands, "ask", ask)

    return stand_in


def queue(words):
    """What squeue prints of the jobs that it is asked for, and the order of a partition."""
    if "--format=%A" in words:
        return "17\n20\n19\n"
    wanted = next(word for word in words if word.startswith("--jobs=")).removeprefix("--jobs=").split(",")
    return "".join(line for line in SQUEUE.splitlines(keepends=True) if line.split("|")[0] in wanted)


def test_states_have_reasons_in_words_place_and_start(answers):
    answers(squeue=queue)
    found = polling.states(["17", "20", "16", "18", "21", "9", "4", "15"])
    assert found["17"].state == "queued"
    assert found["17"].reason == "waits for nodes to become free (Resources); 1st of 3 in low"
    assert found["17"].start == 1796067489
    assert found["20"].reason == (
        "preempted, requeued; others have a higher priority (Priority); 2nd of 3 in low"
    )
    assert (found["16"].state, list(found["16"].hosts), found["16"].start) == ("running", ["n1", "n2"], None)
    assert found["18"].reason == "its partition is down (PartitionDown)"
    assert found["21"].reason.startswith("nodes that it needs are down or reserved (ReqNodeNotAvail: Unavail")
    assert (found["9"].state, found["9"].reason, found["9"].raw) == ("ended", "cancelled", "CANCELLED")
    assert (found["4"].state, found["4"].reason) == ("ended", "it ended with an error")
    assert (found["15"].state, found["15"].reason) == ("ended", "")


def test_of_a_controller_that_is_down_nothing_is_known(answers):
    answers(squeue=SilentError("Slurm does not answer: Unable to contact slurm controller"))
    with pytest.raises(SilentError, match="Slurm does not answer"):
        polling.states(["17"])


def test_a_job_that_squeue_forgot_is_looked_up_in_the_accounts(answers):
    forgot = RunError("squeue refuses: slurm_load_jobs error: Invalid job id specified")
    answers(squeue=forgot, sacct="7|CANCELLED by 0|n[1-2]\n7.batch|CANCELLED|n1\n8|COMPLETED|None assigned\n")
    found = polling.states(["7", "8"])
    assert (found["7"].state, found["7"].reason, list(found["7"].hosts)) == (
        "ended",
        "cancelled",
        ["n1", "n2"],
    )
    assert (found["8"].state, list(found["8"].hosts)) == ("ended", [])
    answers(squeue=forgot, sacct=RunError("sacct refuses: Slurm accounting storage is disabled"))
    assert polling.states(["7"])["7"].state == "ended"


def test_what_is_no_id_is_never_asked_for(answers):
    answers()
    assert polling.states(["--help", "1 2"])["--help"].state == "unknown"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", []),
        ("n1", ["n1"]),
        ("gpu[01-03,7],login", ["gpu01", "gpu02", "gpu03", "gpu7", "login"]),
        ("a[9-10]-ib", ["a9-ib", "a10-ib"]),
        ("a[0-999999999]", []),
    ],
)
def test_lists_of_nodes_are_spelled_out(text, hosts):
    assert polling.hosts_of(text) == hosts


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Dependency", "waits for another job (Dependency)"),
        ("BeginTime", "its time to begin has not come (BeginTime)"),
        ("QOSMaxJobsPerUserLimit", "its quality of service gives no more jobs (QOSMaxJobsPerUserLimit)"),
        ("AssocGrpGRES", "its account gives no more GPUs or the like (AssocGrpGRES)"),
        ("QOSMinGRES", "its quality of service asks for more GPUs or the like (QOSMinGRES)"),
        (
            "AssocMaxWallDurationPerJobLimit",
            "its account gives no more time (AssocMaxWallDurationPerJobLimit)",
        ),
        ("SomethingNew", "SomethingNew"),
        ("None", "just handed in"),
    ],
)
def test_reasons_are_words(reason, words):
    assert reasons.worded(reason) == words


def test_the_fields_of_a_job_are_read_before_what_strangers_wrote():
    found = batch.fields(SHOW)
    assert (found["JobState"], found["PreemptTime"], found["StdOut"]) == ("RUNNING", "1796066503", "/tmp/a")


def test_errors_lose_the_commands_own_prefixes_and_escapes():
    said = (
        "sbatch: error: invalid partition specified: \x1b[31mnope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    )
    assert commands.cleaned(said) == (
        "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
    )


def test_a_command_that_is_not_there_or_does_not_answer_is_words(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="no squeue on PATH"):
        commands.ask(["squeue"])
    assert commands.missing() == "sbatch, squeue, scontrol, scancel"

    def wait(words, **how):
        raise subprocess.TimeoutExpired(words, 1)

    monkeypatch.setattr(subprocess, "run", wait)
    with pytest.raises(SilentError, match="squeue has not answered for 4 s"):
        commands.ask(["squeue"])


def test_partitions_are_read_and_what_they_lack_is_said(answers, submission):
    answers(sinfo=SINFO)

    def said(made=None, **options):
        return cluster.problems(made or submission(), SlurmOptions(**options))

    assert said(submission(hosts=32, gpus=8), partition="gpu", time="2-00", cpus=96) == []
    assert said(partition="cpu") == ["there is no partition cpu → the cluster has gpu, low"]
    assert re.match(r"gpu has 32 nodes, not 33 → ", *said(submission(hosts=33), partition="gpu"))
    assert re.match(
        r"no node of low has 1 GPUs, the most are 0 → ", *said(submission(gpus=1), partition="low")
    )
    assert said(submission(gpus=1), partition="low,gpu") == []
    assert re.match(
        r"time 3-00 is above the limit of gpu, 2880 minutes → ", *said(partition="gpu", time="3-00")
    )
    assert re.match(r"no node of low has 3 cores → ", *said(partition="low", cpus=3))


def test_an_unknown_account_is_found_where_accounts_are_kept(answers, submission):
    answers(sinfo=SINFO, sacctmgr="faces\nbio\n")
    assert cluster.problems(submission(), SlurmOptions(account="fases")) == [
        "you have no account fases → you have bio, faces"
    ]
    assert cluster.problems(submission(), SlurmOptions(account="bio")) == []
    answers(sinfo=SINFO)
    assert cluster.problems(submission(), SlurmOptions(account="fases")) == []
