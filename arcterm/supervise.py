"""The process that owns a run: it starts the ranks' agent, waits, and writes how it ended.

    python -m arcterm.supervise RUN ATTEMPT

One per run and attempt, in a session of its own. torch runs in its children only. The ranks are started
once: after a failure the run is ``failed`` until somebody resumes it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import psutil

from arcterm import gpus, lifeline
from arcterm.config import DataConfig
from arcterm.errors import ArctermError, RunError
from arcterm.runs import checkpoints, control, diagnosis, state
from arcterm.runs.files import write_json
from arcterm.runs.state import Launch
from arcterm.runs.store import Run

GRACE_SECONDS = 15.0
_STORED = ("CUDA_", "NCCL_", "OMP_", "ARCTERM_", "SLURM_", "TORCH_", "GLOO_")
_SECRET = ("TOKEN", "KEY", "SECRET", "PASS")


def main() -> int:
    """Supervise one attempt of one run."""
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    try:
        with state.lock(run):
            return Supervisor(run, attempt).supervise()
    except ArctermError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


class Supervisor:
    """One attempt at a run."""

    def __init__(self, run: Run, attempt: int) -> None:
        self.run = run
        self.attempt = attempt
        self.agent: subprocess.Popen[bytes] | None = None
        self.stopped_at: float | None = None

    def supervise(self) -> int:
        """Start the agent, wait for it, write the final state; returns 0 for done and stopped."""
        state.take_ownership(self.run, self.attempt, "local")
        state.write_state(self.run, "starting", attempt=self.attempt)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_now)
        try:
            lifeline.adopt_orphans()
            checkpoints.sweep(self.run)
            control.clear(self.run)
            self._start_agent()
            self._wait()
        except (ArctermError, OSError) as error:
            failure = state.Failure(cause=f"the supervisor could not go on: {error}")
            state.write_state(self.run, "failed", attempt=self.attempt, reason=failure.cause, failure=failure)
            return 1
        finally:
            _kill_children()
        return self._conclude()

    def _start_agent(self) -> None:
        found = checkpoints.newest_valid(self.run)
        # a job on data is one process without torch; ranks are started by torchrun's agent
        alone = isinstance(self.run.record.config, DataConfig)
        program = "arcterm.worker" if alone else "arcterm.agent"
        argv = [sys.executable, "-m", program, str(self.run.path), str(self.attempt)]
        changes = self._environment()
        if alone:  # its threads are its own, a part of the work each
            changes |= {"RANK": "0", "ARCTERM_AGENT_PID": str(os.getpid()), "OMP_NUM_THREADS": "1"}
        launch = Launch(argv=argv, env=_kept(os.environ | changes), resume=found[0].name if found else "")
        write_json(self.run.attempt_dir(self.attempt) / "launch.json", launch)
        self.agent = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, env=os.environ | changes, close_fds=True
        )

    def _environment(self) -> dict[str, str]:
        config = self.run.record.config
        changes = {
            "ARCTERM_SUPERVISOR_PID": str(os.getpid()),
            "OMP_NUM_THREADS": str(config.threads),
            "PYTHONUNBUFFERED": "1",
            # a restarted rendezvous would read the dead one's keys from a shared store
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }
        if config.gpus:  # NVML numbers GPUs by bus; CUDA does so only if told
            changes["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            changes["CUDA_VISIBLE_DEVICES"] = ",".join(_names(config.gpus))
        return changes

    def _wait(self) -> None:
        agent = self.agent
        while agent is not None:
            state.beat(self.run)
            try:
                agent.wait(timeout=state.HEARTBEAT_SECONDS)
                return
            except subprocess.TimeoutExpired:
                if self.stopped_at is not None and time.monotonic() - self.stopped_at > GRACE_SECONDS:
                    agent.kill()

    def _stop_now(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: end the agent, which ends its ranks."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            if self.agent is not None:
                self.agent.terminate()

    def _conclude(self) -> int:
        ended = diagnosis.read_exit(self.run, self.attempt, rank=0)
        code = self.agent.returncode if self.agent else 1
        if code == 0 and ended is not None and ended.reason in ("done", "stopped"):
            state.write_state(
                self.run, ended.reason, attempt=self.attempt, step=ended.step, reason=ended.detail
            )
            return 0
        if self.stopped_at is not None:
            reason = "stopped at once; steps after the last checkpoint are lost"
            state.write_state(self.run, "stopped", attempt=self.attempt, reason=reason)
            return 0
        failure = diagnosis.diagnose(self.run, self.attempt, code)
        state.write_state(self.run, "failed", attempt=self.attempt, reason=failure.cause, failure=failure)
        return 1


def _names(recorded: list[int]) -> list[str]:
    """What CUDA calls the GPUs that the run works on today; raises `RunError` if there are fewer."""
    found = gpus.assign(recorded)
    if len(found) < len(recorded):
        raise RunError(
            f"{len(found)} of the {len(recorded)} GPUs that it needs can be used: {gpus.usable()[1]}"
        )
    return [device.name for device in found]


def _kept(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment is worth keeping, secrets blanked."""
    kept = {name: value for name, value in environment.items() if name.startswith(_STORED)}
    return {name: "***" if any(word in name for word in _SECRET) else value for name, value in kept.items()}


def _kill_children() -> None:
    """End every process that is still below this one, and wait until it is gone."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(children, timeout=GRACE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
