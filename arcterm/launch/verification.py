"""A verification before its start: the model that is meant, sets, devices, and the data as it is today."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from arcterm_registry.contracts import DatasetFacts

from arcterm.config import JobConfig, TrainConfig
from arcterm.errors import ConfigError, DataError
from arcterm.formats.pairs import binfile
from arcterm.inputs import models, pairsets, preprocess
from arcterm.launch import devices, samedata
from arcterm.launch.choice import devices_for
from arcterm.runs import checkpoints, state
from arcterm.runs.store import Run

NAME = "arcterm:verify"
_SHOWN = 10


class Ready(NamedTuple):
    """A verification ready to start: config, where it works, its name, the facts of a training's data."""

    config: JobConfig
    gpus: list[int]
    nproc: int
    label: str
    facts: DatasetFacts | None


class _Meant(NamedTuple):
    """The model that is meant: its path or PREFIX,EPOCH, what it is called, its training and step if any."""

    path: str
    called: str
    run: Run | None = None
    step: int = 0


def prepare(
    config: JobConfig, root: Path, gpus: str | None, nproc: int | None, say: Callable[[str], None]
) -> Ready:
    """Find the model and the sets of a verification, and choose where it works.

    A training's is verified where it was trained, with the sets of its data unless others are given; `say` is
    told where that data isn't what it was, and which sets can't be used. Raises `ArctermError`.
    """
    meant, sets, options = _check(config, root)
    train = meant.run.config if meant.run else None
    facts = None
    if train and not sets:
        facts = samedata.facts_of(train)
        for note in samedata.notes(meant.run, facts):  # type: ignore[arg-type]
            say(note)
    where, ranks = _devices(train, gpus, nproc, say)
    made = msgspec.structs.replace(config, paths=[meant.path, *sets], options=options, train=train)
    called = f"{train.backbone}-{meant.step}" if train else meant.called
    return Ready(made, where, ranks, f"verify-{called}", facts)


def check(config: JobConfig, root: Path) -> None:
    """Raise `ArctermError` if the model, the sets or the options can't be what is meant."""
    _check(config, root)


def _check(config: JobConfig, root: Path) -> tuple[_Meant, list[str], dict[str, Any]]:
    """Find the model; returns it with the paths of the sets and the options as the job gets them."""
    text, *places = config.paths
    options: dict[str, Any] = dict(config.options)
    known = preprocess.parse_preprocess(**{key: options[key] for key in ("channels", "mean", "std")})
    meant = _find(text, root, options["checkpoint"])
    sets = [str(Path(place).absolute()) for place in places]
    options["reject_by"] = _quality(options["reject_by"])
    if meant.run:
        if known:
            raise ConfigError(
                f"{meant.called} is a run, which says itself how its images enter",
                "leave out --channels, --mean and --std",
            )
        options["checkpoint"] = str(meant.step)
    elif not sets:
        raise _no_sets(Path(meant.path.partition(",")[0]))
    pairsets.find([Path(place) for place in sets])
    return meant, sets, options


def _find(text: str, root: Path, which: str) -> _Meant:
    found = models.find(text, root)
    if isinstance(found, dict):
        _refuse_set(Path(text).expanduser())
        file = found.get("file") or found.get("onnx")
        path = Path(text.partition(",")[0]).expanduser()
        place = str(file) if file else f"{path.absolute()}{text[len(text.partition(',')[0]) :]}"
        return _Meant(place, path.name.partition(".")[0])
    if isinstance(found, Run):
        run = found
        state.check_whole(run)
        _ = run.config  # which raises for a job
        _, manifest = checkpoints.choose(run, which)
    else:
        run, manifest = (
            Run(found.resolve().parent.parent),
            checkpoints.check(found, only=checkpoints.BACKBONE),
        )
        if not (run.path / "run.json").is_file():  # a copy away from its run
            return _Meant(str(found.resolve()), found.resolve().name)
    return _Meant(str(run.path.resolve()), run.name, run, manifest.step)


def _refuse_set(path: Path) -> None:
    """Raise `ConfigError` for a verification set in the model's place."""
    if path.suffix != ".bin" or not path.is_file():
        return
    try:
        binfile.read_pairs(path)
    except DataError:
        return  # weights may have this ending too
    raise ConfigError(f"{path} is a verification set, no model", "give a model first: a run or a file")


def _quality(text: str) -> str:
    """What pairs are rejected by: empty, ``norm``, or the absolute path of a file; raises `DataError`."""
    if text in ("", "norm"):
        return text
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise DataError(
            f"--reject-by {text} is no file", "write norm, or the path of a file with a number for each image"
        )
    return str(path)


def _no_sets(model: Path) -> ConfigError:
    there = pairsets.beside(model)
    if not there:
        return ConfigError(
            f"{model.name} is no run, so the verification sets have to be given, and none lies beside it",
            f"`arcterm verify {model} SET.bin`; `arcterm data bin FOLDER SET.bin` makes one",
        )
    names = [str(path) for path in there[:_SHOWN]]
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return ConfigError(
        f"{model.name} is no run, so the verification sets have to be given; there are "
        f"{', '.join(names)}{more}",
        f"`arcterm verify {model} {names[0]}`",
    )


def _devices(
    train: TrainConfig | None, gpus: str | None, nproc: int | None, say: Callable[[str], None]
) -> tuple[list[int], int]:
    """GPUs and ranks; those of the training unless others are asked for."""
    if train and gpus is None and nproc is None:
        found = devices.for_verification(train)
        if where := devices.moved(train, found):
            say(where)
        return found, len(found) if train.gpus else train.nproc
    chosen = devices_for(gpus, nproc)
    if chosen.remark:
        say(f"device: {chosen.remark}")
    return chosen.gpus, chosen.nproc
