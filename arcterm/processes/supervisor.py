"""The process that owns a run: it starts the ranks' agent, waits, and records how it ended.

    python -m arcterm.processes.supervisor RUN ATTEMPT [LOCK PIPE [--from-start]]

LOCK is a descriptor of the run's lock, already held; PIPE receives a word when the run is owned, or why not.
One per run and attempt, in a session of its own. torch runs in its children only. The ranks are started
once: after a failure the run is ``failed`` until a user resumes it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import psutil

from arcterm import environment, gpus, parent_death
from arcterm.errors import ArctermError, RunError
from arcterm.files import write_json
from arcterm.processes import rendezvous
from arcterm.runs import advice, checkpoints, control, diagnosis, state
from arcterm.runs.state import Launch
from arcterm.runs.store import Run

GRACE_SECONDS = 15.0
_STORED = ("CUDA_", "NCCL_", "OMP_", "ARCTERM_", "SLURM_", "TORCH_", "GLOO_")
_TORCHRUN = {
    *("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    *("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME"),
    *("PYTHON_EXEC", "LOGLEVEL", "NCCL_COMM_ID", "NCCL_RAS_ADDR", "NCCL_OOB_NET_IFNAME"),
}
_SECRET = ("TOKEN", "KEY", "SECRET", "PASS")


def main() -> int:
    """Supervise one attempt of one run."""
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    lock, pipe = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 3 else (None, None)
    try:
        with state.lock(run, lock):
            return Supervisor(run, attempt, pipe, from_start="--from-start" in sys.argv).supervise()
    except (ArctermError, OSError) as error:
        _report(pipe, str(error))
        with contextlib.suppress(OSError):  # the log is on the disk that may be full
            sys.stderr.write(f"{error}\n")
        return error.exit_code if isinstance(error, ArctermError) else 5


class Supervisor:
    """One attempt at a run."""

    def __init__(self, run: Run, attempt: int, pipe: int | None = None, *, from_start: bool = False) -> None:
        self.run = run
        self.attempt = attempt
        self.pipe = pipe
        self.from_start = from_start
        self.agent: subprocess.Popen[bytes] | None = None
        self.stopped_at: float | None = None

    def supervise(self) -> int:
        """Start the agent, wait for it, write the final state; returns 0 for done and stopped."""
        state.take_ownership(self.run, self.attempt, "local")
        state.beat(self.run)
        state.write_state(self.run, "starting", attempt=self.attempt)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_now)
        _report(self.pipe, state.READY)
        try:
            parent_death.adopt_orphans()
            checkpoints.sweep(self.run)
            control.clear(self.run)
            with rendezvous.folder() as meeting:
                self._start_agent(meeting)
                self._wait()
                _kill_children()
        except (ArctermError, OSError) as error:
            failure = state.Failure(
                cause=f"the supervisor could not go on: {error}", hint=advice.resuming(self.run)
            )
            if isinstance(error, ArctermError):
                failure = state.Failure(cause=error.message, hint=error.hint, exit_code=error.exit_code)
            state.write_state(self.run, "failed", attempt=self.attempt, reason=failure.cause, failure=failure)
            return 1
        finally:
            _kill_children()
        return self._conclude()

    def _start_agent(self, meeting: Path) -> None:
        found = checkpoints.newest_valid(self.run, from_start=self.from_start)
        # ranks are started by torchrun's agent; a job without them is one process, without torch
        ranks = self.run.record.config.ranks
        program = "arcterm.processes.agent" if ranks else "arcterm.processes.solo"
        argv = [sys.executable, "-m", program, str(self.run.path), str(self.attempt)]
        environ = self._environment() | {"ARCTERM_RENDEZVOUS": str(meeting)}
        if not ranks:  # its threads are its own, a part of the work each
            environ["OMP_NUM_THREADS"] = "1"
        launch = Launch(
            argv=argv,
            env=_recorded_part(environ),
            resume=found.path.name if found.path else "",
            notes=found.notes,
        )
        write_json(self.run.attempt_dir(self.attempt) / "launch.json", launch)
        self.agent = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environ, close_fds=True)

    def _environment(self) -> dict[str, str]:
        """The agent's environment, without any trace of a torchrun around this process."""
        config = self.run.record.config
        made = {name: value for name, value in environment.for_child().items() if not _is_torchruns(name)}
        made |= {
            "ARCTERM_SUPERVISOR_PID": str(os.getpid()),
            # all ranks are on this host: no other has to reach them
            "GLOO_SOCKET_IFNAME": "lo",
            "NCCL_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": str(config.threads),
            "PYTHONUNBUFFERED": "1",
            # with it the agent would serve a store to its ranks, on all interfaces
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }
        if config.gpus:  # NVML numbers GPUs by bus; CUDA does so only if told
            made["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            made["CUDA_VISIBLE_DEVICES"] = ",".join(_cuda_names(config.gpus))
        return made

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
            reason = f"stopped at once; {advice.cost(self.run)}"
            state.write_state(self.run, "stopped", attempt=self.attempt, reason=reason)
            return 0
        failure = diagnosis.diagnose(self.run, self.attempt, code)
        state.write_state(self.run, "failed", attempt=self.attempt, reason=failure.cause, failure=failure)
        return 1


def _cuda_names(recorded: list[int]) -> list[str]:
    """CUDA's names of the GPUs to work on today; raises `RunError` if there are fewer than recorded."""
    found = gpus.assign(recorded)
    if len(found) < len(recorded):
        raise RunError(
            f"{len(found)} of the {len(recorded)} GPUs that it needs can be used: {gpus.usable()[1]}"
        )
    return [device.name for device in found]


def _report(pipe: int | None, word: str) -> None:
    """Report to the process that started this one, if it still reads."""
    if pipe is not None:
        with contextlib.suppress(OSError):  # gone, or already closed
            os.write(pipe, word.encode())
            os.close(pipe)


def _is_torchruns(name: str) -> bool:
    """Whether torchrun reads or sets this variable, or its libraries open a port by it."""
    return name in _TORCHRUN or name.startswith(("PET_", "TORCHELASTIC_", "TORCH_ELASTIC_"))


def _recorded_part(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment to record, secrets blanked."""
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
