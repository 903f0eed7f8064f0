"""Starting, resuming and stopping runs."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from arcterm_registry import locate
from arcterm_registry.contracts import DatasetFacts

from arcterm.config import DataConfig, JobConfig, TrainConfig, VerifyConfig
from arcterm.errors import DataError, RunError
from arcterm.launch import devices, torchrun
from arcterm.launch.preflight import Plan, cores
from arcterm.runs import checkpoints, control, state, store
from arcterm.runs.store import DatasetOrigin, PluginOrigin, Run
from arcterm.tasks import TASKS

_VERSIONS = (
    "arcterm",
    "torch",
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "safetensors",
    "scikit-learn",
)


def start(plan: Plan, root: Path, *, name: str = "", argv: Sequence[str] = ()) -> Run:
    """Make a run of `plan` and start it; raises `RunError` if the name is taken."""
    config = plan.config
    label = f"{config.backbone}-{config.loss}"
    run = _create(root, config, label, name, argv, config, plan.facts)
    torchrun.submit(run)
    return run


def resume(run: Run) -> Run:
    """Go on from the newest whole checkpoint; raises `RunError` if the run is live or done."""
    state.check_whole(run)
    now = state.read_state(run)
    if now.state in state.LIVE:
        raise RunError(f"{run.name} is {now.state}", f"`arcterm attach {run.id}` shows it")
    if now.state == "done":
        if isinstance(run.record.config, DataConfig):
            raise RunError(f"{run.name} is done", f"`arcterm show {run.id}` has its report")
        raise RunError(
            f"{run.name} is done: all {run.config.steps} steps were made", "start a new run with more steps"
        )
    devices.today(run.record.config)
    torchrun.submit(run)
    return run


def stop(run: Run, *, now: bool = False) -> None:
    """Ask a run to stop after a checkpoint, or at once; raises `RunError` if it is not running."""
    state.check_whole(run)
    current = state.read_state(run)
    if current.state not in state.LIVE:
        raise RunError(f"{run.name} is {current.state}, there is nothing to stop", f"`arcterm show {run.id}`")
    if not now:
        control.ask(run, "stop")
        return
    owner = state.read_owner(run)
    if owner is None or owner.host != socket.gethostname():
        where = owner.host if owner else "another host"
        raise RunError(
            f"{run.name} runs on {where}", f"stop it there, or `arcterm stop {run.id}` without --now"
        )
    os.kill(owner.pid, signal.SIGTERM)


def verify(run: Run, root: Path, *, which: str = "last", argv: Sequence[str] = ()) -> Run:
    """Start a verification of a run's checkpoint, as a run of its own."""
    state.check_whole(run)
    train = run.config
    path, manifest = checkpoints.choose(run, which)
    found = devices.for_verification(train)
    nproc = len(found) if train.gpus else train.nproc
    config = VerifyConfig(
        checkpoint=str(path.resolve()),
        train=train,
        device="cuda" if found else "cpu",
        nproc=max(1, nproc),
        gpus=found,
        threads=1 if found else max(1, cores() // max(1, nproc)),
        batch_size=train.batch_size,
    )
    made = _create(root, config, f"verify-{train.backbone}-{manifest.step}", "", argv, train, None)
    torchrun.submit(made)
    return made


def data(config: DataConfig, root: Path, *, argv: Sequence[str] = ()) -> Run:
    """Start a job on data, as a run of its own; raises `DataError` if there is nothing at a path it reads."""
    places = TASKS[config.task].places
    for number, path in enumerate(config.paths):
        place = places[max(0, number - len(config.paths) + len(places))]
        if not place.written and not Path(path).exists():
            raise DataError(f"{path} does not exist", f"data {config.task}: {place.help}")
    made = _create(root, config, f"data-{config.task}", "", argv, None, None)
    torchrun.submit(made)
    return made


def _create(
    root: Path,
    config: JobConfig,
    label: str,
    name: str,
    argv: Sequence[str],
    train: TrainConfig | None,
    facts: DatasetFacts | None,
) -> Run:
    used = [_origin(kind, getattr(train, kind)) for kind in ("backbone", "loss", "dataset")] if train else []
    return store.create(
        root,
        config,
        label=label,
        name=name,
        argv=list(argv),
        host=socket.gethostname(),
        git=_git_revision(),
        versions=_versions(),
        plugins=used,
        dataset=_dataset(facts) if facts else None,
    )


def _dataset(facts: DatasetFacts) -> DatasetOrigin:
    return DatasetOrigin(
        fingerprint=facts.fingerprint,
        images=facts.images,
        classes=facts.classes,
        verification=dict(facts.verification),
    )


def _origin(kind: str, name: str) -> PluginOrigin:
    plugin = locate(kind, name)
    record = plugin.path / "RECORD"
    digest = hashlib.sha256(record.read_bytes()).hexdigest() if record.is_file() else ""
    return PluginOrigin(
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
    """Revision of the working directory, ``+dirty`` if changed; empty outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+dirty", "--exclude=*", "--abbrev=40"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
