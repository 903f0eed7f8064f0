"""The process of a batch job: it starts the run's hosts by srun, and decides what their end means.

    python -m arcterm.launch.slurm.batch RUN [--requeue] -- SRUN…

SIGUSR1 says that the time limit is near, and is handed on: the hosts save and end. A preemption with a grace
time is told to the steps alone, so that the job is looked at after their end. In both cases the job goes back
into the queue; Slurm itself would call it failed. Of a job that Slurm ends by itself, for a node that died or
without a grace time, this process is ended too, and Slurm has it back in its queue.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from arcterm import environment
from arcterm.errors import ArctermError, RunError
from arcterm.launch.slurm import commands
from arcterm.launch.slurm.commands import SilentError
from arcterm.launch.slurm.polling import REQUEUED
from arcterm.runs import advice, checkpoints, state
from arcterm.runs.events import Phase
from arcterm.runs.reader import Reader
from arcterm.runs.state import Failure
from arcterm.runs.store import Run

_LEAVING_SECONDS = 60.0
"""How long Slurm may take to end this process after a requeue."""
_PAUSES = (5.0, 30.0, 90.0)
"""Seconds to wait for a controller that is being restarted just as a job begins."""


Reached = dict[tuple[str, int], int]
"""How far a run has come: a training's newest checkpoint; a job's counts, by phase and total."""


class StepEnd(NamedTuple):
    """A finished step: srun's exit code, whether the time limit was near, how far the run was before it."""

    code: int
    out_of_time: bool
    before: Reached


def main() -> int:
    """Run the step and return its exit code, unless the job is requeued."""
    at = sys.argv.index("--")
    run, requeue = Run(Path(sys.argv[1])), "--requeue" in sys.argv[2:at]
    began = run.attempts()
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        _comment("")  # of the wait that is over
    step = _run_step(run, sys.argv[at + 1 :])
    for pause in _PAUSES:
        if not step.code or run.attempts() > began or not _is_silent():
            break
        _say(f"Slurm does not answer; srun is tried again in {pause:.0f} s")
        time.sleep(pause)
        step = _run_step(run, sys.argv[at + 1 :])
    try:
        if step.code and run.attempts() == began:
            _note_unbegun(run, step.code)
        elif requeue and (why := reason_to_requeue(run, step)):
            return _requeue(run, why, step.code)
    except (ArctermError, OSError) as error:
        _say(str(error))
    return step.code


def reason_to_requeue(run: Run, step: StepEnd) -> str:
    """Why the job is to go back into the queue: ``preempted`` or ``out of time``; empty if it is not."""
    if state.read_state(run).state != "stopped":  # srun's code is the worst of several hosts
        return ""
    job = fields(_scontrol("-o", "show", "job", _job()))
    if job.get("JobState") != "RUNNING":  # cancelled
        return ""
    if job.get("PreemptTime", "None") not in ("None", "0"):
        return "preempted"
    return "out of time" if step.out_of_time and _has_advanced(run, step) else ""


def _has_advanced(run: Run, step: StepEnd) -> bool:
    """Whether another start would get further; a run that would not stays stopped, and says so.

    One that got nowhere in all of its time would be requeued for ever.
    """
    config = run.record.config
    if not config.resumes:
        _stay(run, "it would begin again, so it was not requeued; give it a longer time")
        return False
    if any(count > step.before.get(what, 0) for what, count in _reached(run).items()):
        return True
    nothing = "no new checkpoint" if config.kind == "training" else "no progress"
    _stay(run, f"its time limit brought {nothing}, so it was not requeued; give it a longer time")
    return False


def _reached(run: Run) -> Reached:
    if run.record.config.kind == "training":
        return {("checkpoint", 0): checkpoints.newest_step(run) or 0}
    found: Reached = {}
    for _, event in Reader(run).events():
        if isinstance(event, Phase):
            what = (event.phase, event.total)
            found[what] = max(event.done, found.get(what, 0))
    return found


def fields(text: str) -> dict[str, str]:
    """The fields of a line of ``scontrol -o show job``, as far as their values hold no blank."""
    return dict(re.findall(r"(?:^| )([A-Za-z][\w:/]*)=(\S*)", text))


def _run_step(run: Run, words: Sequence[str]) -> StepEnd:
    """Start srun and wait for it; signals are handed on."""
    asked: list[int] = []
    before = _reached(run)
    process: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if process is not None and number == signal.SIGUSR1:
            process.send_signal(number)

    # a job that is cancelled: Slurm tells the steps, and they save before they end
    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGUSR1, hand_on)
    _say(f"{run.name}: start {int(os.environ.get('SLURM_RESTART_COUNT') or 0) + 1} of job {_job()}")
    try:
        process = subprocess.Popen(list(words), stdin=subprocess.DEVNULL, env=environment.for_child())
    except OSError as error:
        _say(f"can't start srun: {error}")
        return StepEnd(5, False, before)
    if signal.SIGUSR1 in asked:
        process.send_signal(signal.SIGUSR1)
    code = process.wait()
    return StepEnd(code, signal.SIGUSR1 in asked, before)


def _requeue(run: Run, why: str, code: int) -> int:
    """Put the job back into the queue and wait for the end of this process; returns if that fails."""
    _comment(why)
    _say(f"{run.name}: {why}; job {_job()} goes back into the queue")
    # nothing is left to be saved: the nodes are free as soon as Slurm asks for them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _scontrol("requeue", _job())
    except RunError as error:
        _stay(run, f"{why}, and {error.message}; {advice.resuming(run)}")
        return code
    time.sleep(_LEAVING_SECONDS)
    return code


def _is_silent() -> bool:
    """Whether Slurm's controller does not answer, without which srun starts nothing."""
    try:
        commands.ask(["scontrol", "show", "job", _job()])
    except SilentError:
        return True
    except RunError:
        pass
    return False


def _comment(why: str) -> None:
    """Note in the job why it waits again; it only makes the queue's words better."""
    with contextlib.suppress(RunError):
        _scontrol("update", f"JobId={_job()}", f"Comment={REQUEUED}{why}")


def _scontrol(*words: str) -> str:
    return commands.ask(["scontrol", *words], seconds=commands.PATIENT)


def _stay(run: Run, reason: str) -> None:
    """Write why a stopped run stays so."""
    _say(f"{run.name}: {reason}")
    with state.lock(run):
        now = state.read_state(run)
        said = "; ".join(filter(None, (now.reason, reason)))
        state.write_state(run, "stopped", attempt=now.attempt, step=now.step, reason=said)


def _note_unbegun(run: Run, code: int) -> None:
    """Write into the run that its hosts never began, unless one of them did so."""
    log = run.path / "slurm" / f"{_job()}.out"
    cause = (
        f"srun ended with {code} before the run began on {os.environ.get('SLURM_JOB_NODELIST', 'its nodes')}"
    )
    with state.lock(run):
        now = state.read_state(run)
        if now.state not in (*state.LIVE, "lost"):
            return
        failure = Failure(cause=cause, hint=f"{log} says more; then {advice.resuming(run)}", log=str(log))
        state.write_state(run, "failed", attempt=now.attempt, step=now.step, reason=cause, failure=failure)


def _job() -> str:
    return os.environ.get("SLURM_JOB_ID", "0")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
