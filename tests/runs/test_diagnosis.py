"""Who failed first, by what the ranks and the agent left behind."""

from __future__ import annotations

import pytest
from arcterm_registry import get

from arcterm.config import job_config
from arcterm.files import write_json
from arcterm.runs import advice, store
from arcterm.runs.checkpoints import MANIFEST, name_of
from arcterm.runs.diagnosis import AgentReport, Exit, Fallen, diagnose

from ..jobs import verification

LOST = "RuntimeError: [/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"
WAITED = "DistBackendError: NCCL watchdog: Timed out waiting 600000ms for recv operation to complete"
OWN = "ValueError: a plug-in's mistake"


def attempt(run, words=(), fallen=(), signal="", log=""):
    """What an attempt leaves: `words` are (rank, t, error), `fallen` (rank, exit code[, t]) by the agent."""
    for rank, t, error in words:
        run.rank_dir(1, rank).mkdir(parents=True, exist_ok=True)
        write_json(run.rank_dir(1, rank) / "exit.json", Exit(reason="error", error=error, t=t))
    for rank in (0, 1):
        run.rank_dir(1, rank).mkdir(parents=True, exist_ok=True)
    ranks = [Fallen(rank=r, pid=1, exit_code=code, t=t[0] if t else 0.0) for r, code, *t in fallen]
    write_json(run.attempt_dir(1) / "failure.json", AgentReport(ranks=ranks, signal=signal))
    (run.attempt_dir(1) / "agent.log").write_text(log)


def saved(run, step):
    """A checkpoint as far as advice looks at it."""
    folder = run.checkpoints / name_of(step)
    folder.mkdir()
    (folder / MANIFEST).write_text("{}")


@pytest.fixture
def job(tmp_path):
    """A job on data."""
    config = job_config("pack", ["x"] * len(get("job", "pack").paths), {})
    return store.create(tmp_path, config, label="data", argv=[], host="h")


@pytest.mark.parametrize(
    ("words", "fallen", "rank", "said"),
    [
        # the first word wins over what others die of later
        ([(1, 10, OWN)], [(0, -6), (1, 1)], 1, "a plug-in's mistake"),
        ([(1, 10, OWN), (0, 10.1, LOST)], [(0, 1), (1, 1), (2, -6)], 1, "a plug-in's mistake"),
        ([(1, 10, OWN)], [(1, 1, 10), (0, -9, 41)], 1, "a plug-in's mistake"),
        ([(2, 10, OWN), (0, 11, "KeyError: 'later'")], [(0, 1), (2, 1)], 2, "a plug-in's mistake"),
        # even of a rank that dies of something else after it
        ([(1, 10, OWN)], [(1, -6), (0, -6)], 1, "a plug-in's mistake"),
        # a witness is none: who was killed before is the one
        ([(0, 10, LOST)], [(0, 1), (1, -9)], 1, "SIGKILL"),
        ([(0, 10, LOST), (2, 10.2, OWN)], [(0, 1), (1, -9), (2, 1)], 1, "SIGKILL"),
        ([(0, 10, LOST)], [(0, 1), (1, -11), (2, -6)], 1, "SIGSEGV"),
        ([(0, 10, LOST)], [(0, 1), (2, -6), (1, -9)], 1, "SIGKILL"),
        ([(0, 10, LOST)], [(0, 1), (1, -15)], 1, "SIGTERM"),
        ([(0, 10, LOST)], [(0, 1), (1, 3)], 1, "before it could say why"),
        ([(0, 10, LOST)], [(0, 1)], 1, "called os._exit"),
        # but not one that the agent ended because it hung
        ([(0, 610, WAITED)], [(0, 1, 610), (1, -15, 610)], 0, "Timed out waiting"),
        ([(0, 610, WAITED)], [(0, 1, 610), (1, -9, 641)], 0, "Timed out waiting"),
        # nobody said a word
        ([], [(1, -9), (0, -15)], 1, "SIGKILL"),
        ([], [(0, -6), (1, -9)], 1, "SIGKILL"),
        ([], [(0, -6, 10), (1, -9, 41)], 0, "SIGABRT"),
        ([], [(0, -15)], 0, "SIGTERM"),
        ([], [(1, 7), (0, -15)], 1, "before it could say why"),
        ([(0, 11, LOST), (1, 10, LOST)], [(0, 1), (1, 1)], 1, "Connection closed"),
    ],
)  # fmt: skip
def test_the_first_to_fail_is_named(run, words, fallen, rank, said):
    attempt(run, words, fallen)
    failure = diagnose(run, 1, 10)
    assert failure.rank == rank
    assert said in f"{failure.cause}\n{failure.error}"


@pytest.mark.parametrize(
    ("error", "cause", "step"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried", "GPU ran out", "a lower --batch-size"),
        (
            "DistBackendError: NCCL error in: x.cpp:94, unhandled system error, NCCL version 2.27\n"
            "Last error:\nError while creating shared memory segment /dev/shm/nccl-AbCdEf (size 9637888), "
            "error: No space left on device (28)",
            "shared memory",
            "--shm-size",
        ),
        ("OSError: [Errno 28] No space left on device: '/runs/x'", "the disk is full", "make room"),
        (
            "DistBackendError: NCCL error in: x.cpp:77, invalid usage\nLast error:\n"
            "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 4000",
            "the same GPU",
            "--gpus",
        ),
        (
            "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set "
            "triton.knobs.build.impl.",
            "C compiler",
            "gcc",
        ),
        (
            "TrainingError: backbone 'r50' can't be compiled: InductorError: InvalidCxxCompiler: "
            "No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')",
            "C compiler",
            "gcc",
        ),
        (
            "OutOfResources: out of resource: shared memory, Required: 147456, Hardware limit: 101376. "
            "Reducing block sizes or `num_stages` may help.",
            "more than this GPU has",
            "--set head_precision=float32",
        ),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "CUDA failed", "driver"),
    ],
)  # fmt: skip
def test_what_is_known_has_its_advice(run, error, cause, step):
    attempt(run, [(0, 10, error), (1, 9, LOST)], [(0, 1), (1, 1)])
    failure = diagnose(run, 1, 10)
    assert failure.rank == 0
    assert cause in failure.cause
    assert step in failure.hint


def test_a_rank_that_leaves_as_if_all_were_well_is_named(run):
    attempt(run)
    failure = diagnose(run, 1, 0)
    assert failure.rank == 0
    assert "called os._exit" in failure.cause


def test_a_job_that_is_killed_is_no_launcher(job):
    attempt(job, [], [(0, -9)])
    failure = diagnose(job, 1, -9)
    assert failure.cause.startswith("rank 0 ended by SIGKILL")
    assert f"`arcterm resume {job.id}` goes on where it was" in failure.hint


def test_what_native_code_wrote_before_it_gave_up_is_read(run):
    attempt(run, [], [(1, -6), (0, -15)])
    log = run.rank_dir(1, 1) / "stderr.log"
    log.write_text("Error while creating shared memory segment /dev/shm/nccl-x: No space left on device\n")
    failure = diagnose(run, 1, 10)
    assert failure.cause == "rank 1 ended by SIGABRT: shared memory (/dev/shm) is full"
    assert "--shm-size" in failure.hint


REPEATS = ("CUDA out of memory", "Duplicate GPU detected", "out of resource: shared memory, Required: 1")


@pytest.mark.parametrize("error", [*REPEATS, OWN])
@pytest.mark.parametrize("step", [None, 20])
def test_resuming_is_not_promised_to_go_on_where_it_would_fail_again(run, error, step):
    if step:
        saved(run, step)
    attempt(run, [(0, 10, error)], [(0, 1)])
    hint = diagnose(run, 1, 10).hint
    assert "goes on" not in hint
    assert "again" in hint
    assert (f"`arcterm resume {run.id}` with " in hint) == (error in REPEATS)
    assert f"continues after step {step}" in hint if step else "begins again" in hint


@pytest.mark.parametrize(
    ("step", "said"), [(None, "begins again: nothing was saved"), (20, "goes on from step 20")]
)
def test_what_resuming_does_depends_on_what_was_saved(run, step, said):
    if step:
        saved(run, step)
    attempt(run, [(0, 10, LOST)], [(0, 1), (1, -9)])
    assert f"`arcterm resume {run.id}` {said}" in diagnose(run, 1, 10).hint


@pytest.fixture
def check(run, tmp_path):
    """A verification."""
    return store.create(tmp_path / "v", verification(run.config, nproc=2), label="verify", argv=[], host="h")


def test_a_job_on_data_goes_on_where_it_was_and_a_verification_begins_again(job, check):
    assert advice.resuming(job) == f"`arcterm resume {job.id}` goes on where it was"
    assert advice.resuming(check) == f"`arcterm resume {check.id}` begins it again"


@pytest.mark.parametrize("kind", ["job", "check"])
@pytest.mark.parametrize("error", ["CUDA out of memory", "MemoryError", "Duplicate GPU", "OutOfResources"])
def test_what_is_no_training_is_not_told_a_trainings_options(request, kind, error):
    other = request.getfixturevalue(kind)
    attempt(other, [(0, 10, error)], [(0, 1)])
    hint = diagnose(other, 1, 10).hint
    assert "--" not in hint
    assert f"`arcterm resume {other.id}`" in hint


def test_what_ending_at_once_costs(run, job):
    assert advice.cost(run) == "nothing was saved yet"
    saved(run, 20)
    assert advice.cost(run) == "steps after the last checkpoint are lost"
    assert advice.cost(job) == "what was done is kept"


@pytest.mark.parametrize(
    ("code", "signal", "log", "said"),
    [
        (-9, "", "", "the launcher was killed (SIGKILL)"),
        (11, "SIGTERM", "", "told to end (SIGTERM)"),
        (
            1,
            "",
            "Traceback\n  x\nModuleNotFoundError: No module named 'torch'\n\n",
            "No module named 'torch'",
        ),
        (1, "", "OSError: [Errno 28] No space left on device\n", "the disk is full"),
        (1, "", "", "the launcher failed: no word"),
    ],
)
def test_a_launcher_without_ranks(run, code, signal, log, said):
    attempt(run, signal=signal, log=log)
    failure = diagnose(run, 1, code)
    assert failure.rank is None
    assert said in failure.cause
    assert f"`arcterm resume {run.id}`" in failure.hint


@pytest.mark.parametrize(
    ("words", "fallen", "code", "repeats"),
    [
        # a mistake of a plug-in's code or of a user, and what a GPU has no room for
        ([(1, 10, OWN)], [(1, 1)], 10, True),
        ([(0, 10, "CUDA out of memory")], [(0, 1)], 10, True),
        ([(0, 10, "RuntimeError: Failed to find C compiler")], [(0, 1)], 10, True),
        ([(0, 10, "loss is not finite at step 7")], [(0, 1)], 10, True),
        ([(0, 10, "RuntimeError: CUDA error: device-side assert triggered")], [(0, 1)], 10, True),
        # from outside
        ([], [(1, -9), (0, -15)], 10, False),
        ([], [(1, -15)], 10, False),
        ([(0, 10, LOST)], [(0, 1)], 10, False),
        ([(0, 610, WAITED)], [(0, 1, 610), (1, -15, 610)], 10, False),
        ([(0, 10, "RuntimeError: CUDA error: uncorrectable ECC error encountered")], [(0, 1)], 10, False),
        ([(0, 10, "DataError: /nfs/pack can't be read: Input/output error")], [(0, 1)], 10, False),
        ([(0, 10, "MemoryError")], [(0, 1)], 10, False),
        ([(0, 10, "OSError: [Errno 24] Too many open files: '/dev/null'")], [(0, 1)], 10, False),
        ([], [(1, -11)], 10, False),
        ([], [], 0, False),
        ([], [], -9, False),
        # a launcher that can't even start
        ([], [], 1, True),
    ],
)
def test_what_repeats(run, words, fallen, code, repeats):
    attempt(run, words, fallen)
    assert diagnose(run, 1, code).repeats == repeats
