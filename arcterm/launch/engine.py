"""The engines that start runs: the one door to the registered launchers."""

from __future__ import annotations

import errno
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from arcterm_registry import PluginError
from arcterm_registry.contracts import EngineState, LauncherFactory, Submission

from arcterm.config import Config
from arcterm.errors import ArctermError, ConfigError, RunError
from arcterm.launch.launchers import asking
from arcterm.launch.trackers import processes
from arcterm.processes import termination
from arcterm.runs import checkpoints, history, state, store
from arcterm.runs.engines import record as records
from arcterm.runs.engines.record import EngineRecord
from arcterm.runs.state import Failure
from arcterm.runs.store import Run
from arcterm.text import clean

_ASK_SECONDS = 5.0
_LONGEST = 600
_MENDING = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room on that disk",
    errno.EACCES: "make it writable",
    errno.EROFS: "make it writable",
    errno.EAGAIN: "look at the system's process limits",
    errno.ENOMEM: "free some memory",
}


def submission(config: Config, folder: Path, name: str = "", options: Sequence[str] = ()) -> Submission:
    """What is handed in for a run of `config` in `folder`, whose process on each host gets `options`."""
    module = "arcterm.processes.supervisor" if config.is_local else "arcterm.processes.host"
    return Submission(
        run=folder.name,
        name=name,
        folder=folder,
        command=[sys.executable, "-m", module, str(folder), *options],
        hosts=config.hosts,
        ranks=config.ranks_each,
        gpus=len(config.gpus),
        threads=config.threads,
        grace=config.grace,
    )


def faults(config: Config, root: Path, name: str = "") -> list[str]:
    """What the launcher of a run that is not made yet finds wrong with it, in words."""
    if config.is_local:
        return []
    planned = submission(config, root.resolve() / "RUN", name)
    try:
        engine = asking.engine_of(config)
        found = asking.call_within(config.launcher, lambda: engine.check(planned), _ASK_SECONDS)
    except (RunError, PluginError) as error:
        return [error.message]
    return [_words(str(problem)) for problem in found]


def refusal(config: Config, found: Sequence[str]) -> ConfigError | None:
    """The error of starting a run with which its launcher `found` something wrong; None if nothing."""
    if not found:
        return None
    parts = [text.partition(" → ") for text in found]
    said = "; ".join(problem for problem, *_ in parts)
    steps = "; ".join(step for *_, step in parts if step)
    return ConfigError(f"{config.launcher}: {said}", steps or "change an option launcher.KEY")


def describe(config: Config, root: Path, name: str = "") -> str:
    """The text of what would be handed in for a run that is not made yet; its directory is called RUN."""
    planned = submission(config, root.resolve() / "RUN", name)
    engine = asking.engine_of(config)
    return asking.call(config.launcher, lambda: engine.describe(planned))


def submit(run: Run, *options: str) -> str:
    """Start `run`, its supervisor with `options`; returns the engine's id for it. Raises `RunError`."""
    termination.hold()
    if held := _held_by(run):
        raise RunError(
            f"{run.name} is {held.state} at {held.launcher} as {held.id}", f"`arcterm stop {run.id}` first"
        )
    try:
        start = _start_here if _config(run, options).is_local else _hand_in
        submitted = start(run, options)
    except OSError as error:
        step = _MENDING.get(error.errno or 0, "look at the run's directory")
        raise RunError(f"can't start {run.id}: {error}", f"{step}, then `arcterm resume {run.id}`") from None
    processes.start(run)
    return submitted


def _config(run: Run, options: Sequence[str]) -> Config:
    """The config that a run goes on with: its own, or that of the change that the `options` name."""
    if "--change" not in options:
        return run.record.config
    return history.proposed(run, options[options.index("--change") + 1]).config


def _start_here(run: Run, options: Sequence[str]) -> str:
    config = _config(run, options)
    return asking.engine_of(config).submit(submission(config, run.path.resolve(), run.name, options))


def _hand_in(run: Run, options: Sequence[str]) -> str:
    """Hand a run in to an engine.

    It is queued from then on: the process that gets its lock on one of the hosts makes it the next attempt.
    """
    rest = list(options)
    with state.lock(run):
        if run.attempts():  # it may have gone on and ended since it was looked at
            state.check_resumable(run, longer="--change" in rest)
        if "--change" in rest:
            at = rest.index("--change")
            history.accept(run, rest[at + 1], checkpoints.newest_step(run))
            del rest[at : at + 2]
        attempt, step = run.attempts() + 1, checkpoints.newest_step(run) or 0
        state.write_state(run, "queued", attempt=attempt, step=step, reason="it is being handed in")
    config = run.record.config
    now = time.time()
    try:
        planned = submission(config, run.path.resolve(), run.record.name, rest)
        engine = asking.engine_of(config)
        given = asking.call(config.launcher, lambda: engine.submit(planned), f"`arcterm resume {run.id}`")
    except (RunError, PluginError, OSError) as error:
        text, hint = (error.message, error.hint) if not isinstance(error, OSError) else (str(error), "")
        failure = Failure(cause=f"it was not handed in: {text}", error=text, hint=hint)
        state.write_state(run, "failed", attempt=attempt, step=step, reason=failure.cause, failure=failure)
        raise
    record = EngineRecord(launcher=config.launcher, id=str(given), submitted=now, attempt=attempt - 1)
    records.write(run, record)
    return record.id


def holds(run: Run) -> bool:
    """Whether an engine holds or held the run and is not known to have ended it."""
    held = records.read(run)
    return held is not None and held.state != "ended"


def stop(run: Run, *, at_once: bool) -> str:
    """Have the engine take a run back that waits there, or end one that runs; return that in words.

    Raises `RunError` if no engine has it, or if the engine refuses.
    """
    held = records.read(run)
    if held is None or held.state == "ended":
        raise RunError(f"{run.name} is held by no engine", f"`arcterm show {run.id}` says more")
    waits = state.read_state(run).state == "queued"
    config = run.record.config
    if held.state != "unknown":  # of which there is nothing to be ended
        engine = asking.engine_of(config)
        asking.call(config.launcher, lambda: engine.stop(held.id, at_once=at_once))
    if not waits:
        return f"asked {held.launcher} to end {held.id}{', at once' * at_once}"
    reason = f"stopped while it waited at {held.launcher} as {held.id}"
    with state.lock(run):
        was = state.read_state(run)
        records.write(run, msgspec.structs.replace(held, state="ended", asked=time.time(), reason=reason))
        if was.state == "queued":
            state.write_state(run, "stopped", attempt=was.attempt, step=was.step, reason=reason)
    return f"{run.name}: {reason}"


def held(root: Path) -> list[Run]:
    """The runs of `root` that engines hold."""
    return [Run(root / name) for name in records.held(root)]


def refresh(runs: Iterable[Run]) -> list[str]:
    """Ask the engines about those `runs` that they hold, in one call each, and note what they say.

    Returns a line for each engine that raised, or gave no answer within seconds; it is not asked again.
    """
    groups: dict[tuple[str, str], list[_Held]] = defaultdict(list)
    for run in runs:
        try:
            held, made = records.read(run), store.recorded(run)
        except (ArctermError, OSError):
            continue  # a damaged run is shown as such
        if held is not None and made is not None and held.state != "ended":
            options = msgspec.json.encode(made.config.launcher_options, order="sorted").decode()
            groups[made.config.launcher, options].append(_Held(run, held, run.attempts()))
    failed: dict[str, str] = {}
    for (launcher, _), group in groups.items():
        if launcher not in failed and (said := _ask(group)):
            failed[launcher] = said
    return list(failed.values())


class _Held(NamedTuple):
    """A run that an engine holds, and its last attempt as the engine is asked."""

    run: Run
    record: EngineRecord
    attempt: int


def _ask(group: Sequence[_Held]) -> str:
    """Ask one engine about its runs and note its answers; returns its error in words."""
    config = group[0].run.record.config
    try:
        engine = asking.engine_of(config)
        answers = asking.call_within(config.launcher, lambda: _answers(engine, group), _ASK_SECONDS)
        for held, (said, logs) in zip(group, answers, strict=True):
            _note(held, said, logs)
    except (RunError, PluginError) as error:
        return f"{error.message}: what it holds is as it was last heard of"
    return ""


def _answers(engine: LauncherFactory, group: Sequence[_Held]) -> list[tuple[EngineState, list[str]]]:
    """The state of each run, and the engine's logs of it, asked for when it begins or ends there."""
    found = engine.state([held.record.id for held in group])
    answers = []
    for record in (held.record for held in group):
        said = found.get(record.id, EngineState(state="unknown"))
        new = said.state in ("running", "ended") and said.state != record.state
        answers.append((said, [str(path) for path in engine.logs(record.id)] if new else record.logs))
    return answers


def _note(held: _Held, said: EngineState, logs: list[str]) -> None:
    """Write what an engine says of a run, if that is new; of one that is over it may remember nothing."""
    if said.state == "unknown" and state.read_state(held.run).state not in state.LIVE:
        said = EngineState(state="ended")
    found = msgspec.structs.replace(
        held.record,
        attempt=held.attempt,
        state=said.state,
        reason=_words(said.reason),
        start=said.start,
        hosts=[_words(host) for host in said.hosts],
        raw=_words(said.raw),
        logs=logs,
    )
    if found != held.record and not held.run.removed:
        records.write(held.run, msgspec.structs.replace(found, asked=time.time()))


def _words(text: str) -> str:
    """An engine's text as one line for a terminal, of a length that fits a message."""
    text = " ".join(clean(text).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _held_by(run: Run) -> EngineRecord | None:
    """The record of a run that an engine still holds, asked for now."""
    refresh([run])
    held = records.read(run)
    return held if held is not None and held.state in ("queued", "running") else None
