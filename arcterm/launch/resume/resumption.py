"""Resuming runs: what is checked first, what is changed, and the start of another attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from arcterm_registry import get
from arcterm_registry.contracts import DatasetFacts

from arcterm.config import Config, TrainConfig
from arcterm.errors import ConfigError, RunError
from arcterm.inputs import sources
from arcterm.launch import batchnorm, devices, engine, samedata, sharing
from arcterm.launch.choice import Devices, devices_for
from arcterm.launch.estimate import assess, decoded
from arcterm.launch.estimate.need import Subject
from arcterm.launch.hosts.asked import AskedHosts
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.resume import changes, notes
from arcterm.progress import Progress
from arcterm.runs import checkpoints, context, dataset, history, state
from arcterm.runs.history import PlannedChange
from arcterm.runs.store import Run
from arcterm.settings import LOCAL


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """A resume that was checked: `run` goes on after `step` as `config` says; nothing is changed yet.

    `settings` maps each changed setting to its [old, new] value, `lines` of the plan say so. `warnings` are
    sentences about damaged checkpoints, `options` are for the engine; it `accepts` changed data.
    """

    run: Run
    config: Config
    step: int
    settings: dict[str, list[Any]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    options: tuple[str, ...] = ()
    accepts: bool = False
    data: samedata.DataCheck | None = None
    proposal: PlannedChange | None = None

    def start(self) -> None:
        """Start the attempt, with the changes once it owns the run; raises `RunError` if it can't begin."""
        if self.data:
            self.data.note(self.run)
        elif self.accepts:
            context.accept_changed_data(self.run)  # a job looks for itself as it begins
        if self.proposal is None:
            engine.submit(self.run, *self.options)
            return
        name = history.propose(self.run, self.proposal)
        try:
            engine.submit(self.run, *self.options, "--change", name)
        finally:
            history.forget(self.run, name)


def prepare(
    run: Run,
    asked: Mapping[str, Any] | None = None,
    *,
    why: str = "",
    accept_changed_data: bool = False,
    from_start: bool = False,
    progress: Progress | None = None,
    hosts: AskedHosts | None = None,
) -> Resumption:
    """Check that `run` can go on, with the settings that are `asked` for (see `overrides.merge`).

    Raises `RunError` if the run is live, or done and not to be made longer, or if all checkpoints are
    damaged, unless it is to begin `from_start`; `ConfigError` for what can't be changed; `DataError` if the
    data isn't what it was, unless that is accepted. `progress` is told how far the look at it is. `hosts` are
    those to go on on, by default as many as before.
    """
    asked = dict(asked or {})
    state.check_whole(run)
    state.check_resumable(run, longer=bool({"steps", "epochs"} & asked.keys()))
    record = run.record
    for kind, plugin in record.config.plugins:
        get(kind, plugin)  # which says what is wrong with one that is gone
    if record.config.kind == "job" and asked:
        raise ConfigError(f"{run.name} is a job, and its settings stay", "start it anew with others")
    if isinstance(record.config, TrainConfig):
        changes.check_allowed(record.config, asked, run.id)
    where = _on_hosts(run, hosts, _devices(run, asked), asked)
    found = checkpoints.newest(run)
    if from_start and found.manifest:
        raise RunError(
            f"{run.name} has a whole checkpoint of step {found.manifest.step}",
            f"`arcterm resume {run.id}` goes on from it; `arcterm train` begins at step 0",
        )
    checkpoints.require_start(run, found, from_start)
    begun = Resumption(
        run=run,
        step=found.manifest.step if found.manifest else 0,
        config=record.config,
        warnings=found.notes,
        options=(*(("--from-start",) if from_start else ()), *_meeting(run, hosts, asked)),
        accepts=accept_changed_data,
    )
    if isinstance(record.config, TrainConfig) and (record.dataset or asked or where):
        begun = _training(begun, asked, where, why, progress)
    faults = engine.faults(begun.config, run.path.parent, record.name)
    if refusal := engine.refusal(begun.config, faults):
        raise refusal
    return begun


def _training(
    begun: Resumption, asked: dict[str, Any], where: Devices | None, why: str, progress: Progress | None
) -> Resumption:
    """Check the data of a training, and work out its config with what is `asked`."""
    run, old = begun.run, begun.run.config
    moved = _source(old, asked.get("dataset", ""))
    named = msgspec.structs.replace(old, dataset=moved.name, dataset_options=dict(moved.options))
    data = samedata.check(run, named, accept=begun.accepts, progress=progress)
    was = dataset.current(run)
    images = was.images if was else data.facts.images
    begun = replace(begun, data=data)
    if not asked and where is None:
        return begun
    config = changes.apply(named, asked, step=begun.step, where=where, facts=data.facts, images=images)
    if config.batch_size != old.batch_size:
        batchnorm.check(config.backbone, config.backbone_options, config.batch_size)
    if config.decoded_cache != old.decoded_cache:
        decoded.lines(config.decoded_cache, data.facts)
    if config == old:
        return begun
    resized = {"nproc", "gpus", "batch_size", "accumulate"} & history.difference(old, config).keys()
    if resized and not config.is_remote:
        _require_memory(run, config, data.facts)
    proposal = PlannedChange(
        step=begun.step,
        why=why,
        config=config,
        newest=checkpoints.newest_step(run),
        changes=len(history.read(run)),
    )
    lines = notes.lines(old, config, begun.step, by_epochs=changes.counts_epochs(old, images))
    remark = [f"device    {where.remark}"] if where and where.remark else []
    return replace(
        begun,
        config=config,
        proposal=proposal,
        settings=history.difference(old, config),
        lines=[*lines, *remark],
    )


def _require_memory(run: Run, config: TrainConfig, facts: DatasetFacts) -> None:
    """Raise `ConfigError` if a rank of `config` finds too little memory, with a batch that fits."""
    loss = get("loss", config.loss)
    fed = sharing.feeding(config.loss, loss, config.loss_options)
    found = assess.assess(
        Subject(get("backbone", config.backbone), loss, facts),
        config,
        {},
        assess.split_by(lambda batch: sharing.check(fed, batch, config.nproc, facts)),
        run.path.parent,
        "tight",
    )
    if found.problem and (found.largest or 0) < config.batch_size:  # a full disk is waited for
        raise ConfigError(found.problem, _what_fits(run, config, found.largest or 0))


def _what_fits(run: Run, config: TrainConfig, largest: int) -> str:
    """Name the resumes that fit where a rank has room for `largest` images."""
    if not largest:
        return "end what holds it, or go on elsewhere"
    fits = f"`arcterm resume {run.id} --batch-size {largest}` fits"
    parts = assess.fewest_parts(config.share, largest)
    asked = config.global_batch != run.config.global_batch  # then other images are wanted than before
    if asked or parts == config.share or get("loss", config.loss).form != "margin":
        return fits
    gpus = ",".join(map(str, config.gpus))
    keeping = (
        f"`arcterm resume {run.id} --gpus {gpus} --set accumulate={parts}`"
        if gpus
        else f"`arcterm resume {run.id} --nproc {config.nproc} --set accumulate={parts}`"
    )
    return f"{keeping} keeps the images of a step; {fits}"


def _source(config: TrainConfig, text: str) -> sources.DataSource:
    """The training's data set, or the same kind of data at another place, `text`, with the same options."""
    if not text:
        return sources.from_config(config)
    kept = {name: value for name, value in config.dataset_options.items() if name not in ("path", "paths")}
    found = sources.find(text)
    return sources.find(text, kept) if found.name == config.dataset else found


def _devices(run: Run, asked: Mapping[str, Any]) -> Devices | None:
    """Where the run works from now on; None as before. Raises `ArctermError` if that can't be."""
    config, nproc = run.record.config, asked.get("nproc")
    launcher = changes.launcher_of(config, asked)
    moved = launcher.placement != {"launcher": config.launcher, "launcher_options": config.launcher_options}
    if not moved and not {"nproc", "gpus"} & asked.keys():
        if not config.is_remote:
            devices.today(config, run.id)
        return None
    if moved or launcher.declared.remote:
        each = (
            config.ranks_each if launcher.declared.remote and config.is_remote and not config.gpus else None
        )
        return launchers.place(launcher, asked.get("gpus"), nproc or each)
    if nproc is None or "gpus" in asked or not config.gpus:
        gpus = asked.get("gpus", "none")
        same = None if config.gpus or gpus != "none" else config.ranks_each
        return devices_for(gpus, nproc or same)
    there = devices_for(None, None)
    if not there.gpus:
        raise ConfigError(
            f"{nproc} rank{'s' * (nproc > 1)} on no GPU" + (f": {there.remark}" if there.remark else ""),
            f"`arcterm resume {run.id} --gpus none --nproc {nproc}` goes on on the CPU",
        )
    found = [index for index in config.gpus if index in there.gpus]
    found += [index for index in there.gpus if index not in found]
    if nproc > len(found):
        return devices_for(None, nproc)  # which says how many there are
    return Devices(found[:nproc], nproc, "")


def _on_hosts(
    run: Run, hosts: AskedHosts | None, where: Devices | None, asked: Mapping[str, Any]
) -> Devices | None:
    """The devices on as many hosts as are asked for, else as before; None where all stays."""
    config = run.record.config
    if not (config.is_local and changes.launcher_of(config, asked).name == config.launcher):
        return where  # the options of its launcher say so
    known = AskedHosts(least=config.least_hosts or config.hosts, most=config.most_hosts or config.hosts)
    wanted = hosts if hosts and hosts.most else known
    if where is None:
        if wanted.numbers == known.numbers:
            return None
        where = Devices(config.gpus, config.ranks_each, "")
    return where.on(wanted)


def _meeting(run: Run, hosts: AskedHosts | None, asked: Mapping[str, Any]) -> tuple[str, ...]:
    """The option of the supervisor that says where the other hosts find it; none where a launcher does."""
    config = run.record.config
    most = hosts.most if hosts and hosts.most else config.most_hosts or config.hosts
    if most == 1 or changes.launcher_of(config, asked).name != LOCAL:
        return ()
    if hosts is None or hosts.meeting is None:
        raise RunError(
            f"{run.name} works on {most} hosts, and no place to meet is named",
            f"`arcterm resume {run.id} --rdzv HOST:PORT` on each of them, with an address of this one; "
            f"`arcterm resume {run.id} --nnodes 1 --nproc {config.nproc}` goes on here alone",
        )
    return hosts.options


def wait_until_free(run: Run, say: Callable[[str], None]) -> None:
    """Wait for a run that is stopping, or whose host is silent, until it can be resumed.

    Returns at once if it lives.
    """
    heard, told = state.last_beat(run), False
    while (now := state.read_state(run).state) in state.LIVE:
        owner = state.read_owner(run)
        far = owner is not None and not state.is_here(owner)
        if state.last_beat(run) != heard if far else now != "stopping":
            return  # it lives, as resuming it will say
        if not told:
            told = True
            left = (
                f"for {owner.host}, {state.believed(run):.0f} s at most" if far and owner else "for its end"
            )
            say(f"waiting {left}")
        time.sleep(0.1)
