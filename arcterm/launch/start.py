"""Starting, resuming and stopping runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import msgspec
from arcterm_registry import get, locate
from arcterm_registry.contracts import DatasetFacts

from arcterm import environment
from arcterm.config import Config, JobConfig, registered
from arcterm.errors import ConfigError, DataError, RunError
from arcterm.launch import engine, samedata, verification
from arcterm.launch.choice import Devices
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.launchers.chosen import Chosen
from arcterm.launch.meant import resolve_models
from arcterm.launch.plan import Plan
from arcterm.runs import advice, control, state, store
from arcterm.runs.store import RecordedPlugin, Run

_VERSIONS = (
    "arcterm",
    "torch",
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "safetensors",
    "scikit-learn",
)


def start(
    plan: Plan, root: Path, *, name: str = "", argv: Sequence[str] = (), after: Run | None = None
) -> Run:
    """Make a run of `plan` and start it, queued `after` another.

    Raises `RunError` if the name is taken, `ConfigError` if the plan can't be carried out here. What is free
    when another run has ended is not known before.
    """
    if plan.estimate.refusal and after is None:
        raise plan.estimate.refusal
    if plan.refusal:
        raise plan.refusal
    _refuse_queue(plan.config, after)
    run = _create(root, plan.config, argv, name=name, facts=plan.facts)
    engine.submit(run, *plan.options, *(["--after", str(after.path.resolve())] if after else []))
    return run


def stop(run: Run, *, now: bool = False) -> str:
    """Ask a run to stop after a checkpoint, or end it at once; returns what was done, in words.

    At once works without a living supervisor too. Raises `RunError` if there is nothing to stop.
    """
    current = state.read_state(run)
    if current.state == "damaged" and state.is_locked(run):  # it lives, whatever its files say
        current = msgspec.structs.replace(current, state="running")
    else:
        state.check_whole(run)
    if current.state not in state.LIVE and not (now and current.state == "lost"):
        step = f"`arcterm stop {run.id} --now`" if current.state == "lost" else f"`arcterm show {run.id}`"
        does = "ends what may be left of it" if current.state == "lost" else "says more"
        if pid := state.held(run):
            raise RunError(
                f"{run.name} has a supervisor that does nothing, process {pid}",
                f"`kill -CONT {pid}` first, or `arcterm stop {run.id} --now`",
            )
        raise RunError(f"{run.name} is {current.state}, there is nothing to stop", f"{step} {does}")
    if _waits_at_engine(run, current):
        return engine.stop(run, at_once=now)
    if not now:
        control.ask(run, "stop")
        softly = run.record.config.stop_words.softly
        return f"asked {run.name} to stop {softly}; --now does not wait for it"
    owner = state.read_owner(run)
    if owner is not None and (current.state in state.LIVE or state.held(run)):
        if not state.is_here(owner):
            if engine.holds(run):
                return engine.stop(run, at_once=True)
            if run.record.config.hosts > 1 and state.believed(run):
                control.ask_end(run)
                return f"asked {run.name} on {owner.host} to stop at once"
            raise RunError(
                f"{run.name} runs on {owner.host}",
                f"stop it there, or `arcterm stop {run.id}`; if that host is gone, "
                f"it is believed for {state.believed(run):.0f} s more",
            )
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner.pid, signal.SIGQUIT)
            os.kill(owner.pid, signal.SIGCONT)  # one that is stopped takes no signal but this
            return f"asked {run.name} to stop at once"
    return _stop_without_supervisor(run, current, owner)


def _waits_at_engine(run: Run, current: state.State) -> bool:
    """Whether a run waits in an engine's own queue, rather than here for another run."""
    return current.state == "queued" and not run.record.config.is_local and engine.holds(run)


def terminate(run: Run) -> None:
    """Have the run saved and stopped within its grace time, as SIGTERM to its supervisor does."""
    owner = state.read_owner(run)
    if owner is not None and state.is_here(owner) and state.owner_alive(run):
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner.pid, signal.SIGTERM)
    else:
        stop(run)


def end(run: Run, patience: float) -> None:
    """Stop a run at once and wait until its lock is free; raises `RunError` after `patience` seconds."""
    stop(run, now=True)
    until = time.monotonic() + patience
    while state.read_state(run).state in state.LIVE or state.is_locked(run):
        if time.monotonic() > until:
            raise hanging(run)
        time.sleep(0.1)


def hanging(run: Run) -> RunError:
    """The error of a supervisor that was told to stop at once and did not."""
    owner = state.read_owner(run)
    pid = owner.pid if owner else "?"
    return RunError(
        f"{run.name} was told to stop and does not: its supervisor, process {pid}, hangs",
        f"`kill -9 {pid}`, then `arcterm stop {run.id} --now` ends the rest",
    )


def _stop_without_supervisor(run: Run, current: state.State, owner: state.Owner | None) -> str:
    """End what is left of a run whose supervisor is gone, and say in its state that it was stopped."""
    from arcterm.launch import orphans  # psutil is needed for nothing else here

    with state.lock(run):
        ended = orphans.end(run)
        left = (
            f"{ended} process{'es' * (ended != 1)} that outlived it {'were' if ended != 1 else 'was'} ended"
        )
        if not ended:
            left = "nothing of the run was alive"
        if owner is not None and not state.is_here(owner):
            left += f" here, and {owner.host} is silent"
        reason = f"the supervisor was gone; {left}; {advice.cost(run)}"
        state.write_state(run, "stopped", attempt=current.attempt, step=current.step, reason=reason)
    return f"{run.name}: {reason}"


def job(
    config: JobConfig,
    root: Path,
    *,
    argv: Sequence[str] = (),
    gpus: str | None = None,
    nproc: int | None = None,
    launcher: Chosen | None = None,
    after: Run | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Start a job, as a run of its own, queued `after` another.

    Raises `DataError` if there is nothing at a path that it reads, unless the run before it writes there.
    One on ranks works on `gpus`, all by default, or `nproc` ranks, or where its `launcher` takes it; `say` is
    told why where that is the CPU.
    """
    made = prepare_job(config, root, gpus=gpus, nproc=nproc, launcher=launcher, after=after, say=say)
    _refuse_queue(made.config, after)
    if refusal := engine.refusal(made.config, engine.faults(made.config, root)):
        raise refusal
    return _submit(made.config, root, argv, made.label, made.facts, after)


class ReadyJob(NamedTuple):
    """A job that can start: its config, its name in the run's id, the facts of a training's data."""

    config: JobConfig
    label: str = ""
    facts: DatasetFacts | None = None


def prepare_job(
    config: JobConfig,
    root: Path,
    *,
    gpus: str | None = None,
    nproc: int | None = None,
    launcher: Chosen | None = None,
    after: Run | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> ReadyJob:
    """Work out where a job runs and on what; raises as `job` does."""
    launcher = launcher or launchers.choose(None, {})
    if config.plugin == verification.NAME:
        ready = verification.prepare(config, root, gpus, nproc, say, launcher)
        return ReadyJob(_on(ready.config, ready.where, launcher), ready.label, ready.facts)
    coming = written_by(after)
    declared = get("job", config.plugin)
    config = resolve_models(config, root)
    for place, paths in declared.share_out(config.paths):
        for path in paths:
            if not (place.written or place.model or path in coming or Path(path).exists()):
                raise DataError(f"{path} does not exist", f"{config.kind_of_job}: {place.help}")
    for name, path in declared.read_files(config.options).items():
        if not Path(path).exists():
            flag, option = f"--{name.replace('_', '-')}", declared.option(name)
            raise DataError(
                f"{path} does not exist", f"{config.kind_of_job} {flag}: {option.help if option else ''}"
            )
    if config.ranks:
        where = launchers.place(launcher, gpus, nproc)
        config = _on(config, where, launcher)
        if declared.alone and not where.gpus and where.nproc == 1:
            config = msgspec.structs.replace(config, ranks=False)
        if where.remark:
            say(f"device: {where.remark}")
    return ReadyJob(config)


def _refuse_queue(config: Config, after: Run | None) -> None:
    """Raise `ConfigError` for a run that another engine starts and that is to wait for one here."""
    if after is not None and not config.is_local:
        raise ConfigError(
            f"--after waits on this machine, and {config.launcher} starts the run elsewhere",
            "leave out --after: its engine has a queue of its own",
        )


def written_by(run: Run | None) -> set[str]:
    """The paths that a live job will have written when it is done."""
    config = run.record.config if run is not None else None
    if run is None or not isinstance(config, JobConfig) or config.declared is None:
        return set()
    if state.read_state(run).state not in state.LIVE:
        return set()
    return {
        path for place, paths in config.declared.share_out(config.paths) if place.written for path in paths
    }


def _submit(
    config: JobConfig,
    root: Path,
    argv: Sequence[str],
    label: str = "",
    facts: DatasetFacts | None = None,
    after: Run | None = None,
) -> Run:
    made = _create(root, config, argv, label=label, facts=facts)
    engine.submit(made, *(["--after", str(after.path.resolve())] if after else []))
    return made


def _on(config: JobConfig, where: Devices, launcher: Chosen) -> JobConfig:
    """The job on these GPUs, or on CPU ranks that share the cores."""
    placed = msgspec.structs.replace(
        config,
        device="cuda" if where.gpus else "cpu",
        nproc=max(1, where.nproc),
        gpus=where.gpus,
        hosts=where.hosts,
        **launcher.placement,
    )
    return msgspec.structs.replace(placed, threads=launchers.threads(placed))


def _create(
    root: Path,
    config: Config,
    argv: Sequence[str],
    *,
    name: str = "",
    label: str = "",
    facts: DatasetFacts | None = None,
) -> Run:
    return store.create(
        root,
        config,
        label=label or config.label,
        name=name,
        argv=list(argv),
        host=socket.gethostname(),
        git=_git_revision(),
        versions=_versions(),
        plugins=[_recorded(kind, plugin) for kind, plugin in [*config.plugins, *_launcher(config)]],
        dataset=samedata.record_of(facts) if facts and config.kind == "training" else None,
        set_aside=dict(facts.set_aside or {}) if facts else {},
    )


def _launcher(config: Config) -> list[tuple[str, str]]:
    return [] if config.is_local else [("launcher", registered(config.launcher))]


def _recorded(kind: str, name: str) -> RecordedPlugin:
    plugin = locate(kind, name)
    record = plugin.path / "RECORD"
    digest = hashlib.sha256(record.read_bytes()).hexdigest() if record.is_file() else ""
    return RecordedPlugin(
        kind=kind,
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        record_sha256=digest,
    )


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_revision() -> str:
    """Revision of the working directory, ``+dirty`` if changed; empty outside a repository.

    A repository may be a stranger's, and looking for changes would run the programs that its configuration
    names as filters: where it names any, changes are not looked for.
    """
    described = ["describe", "--always", "--exclude=*", "--abbrev=40"]
    filters = _git("config", "--show-scope", "--name-only", "--get-regexp", r"^filter\.")
    if not any(line.startswith(("local", "worktree")) for line in filters.splitlines()):
        described.append("--dirty=+dirty")
    return _git(*described)


def _git(*words: str) -> str:
    """What git says, without the hooks and monitors of the repository; empty if it has nothing to say."""
    quiet = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        found = subprocess.run(
            ["git", *quiet, *words],  # noqa: S607
            env=environment.for_child(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
