"""A verification before its start: the model that is meant, sets, devices, and the data as it is today."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from arcterm_registry.contracts import DatasetFacts

from arcterm.config import JobConfig, TrainConfig
from arcterm.errors import ConfigError, DataError
from arcterm.inputs import pairsets
from arcterm.launch import devices, samedata
from arcterm.launch.choice import Devices
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.launchers.chosen import Chosen
from arcterm.launch.meant import Meant, find_model, refuse_feeding

NAME = "arcterm:verify"
_SHOWN = 10


class Ready(NamedTuple):
    """A verification ready to start: config, where it works, its name, the facts of a training's data."""

    config: JobConfig
    where: Devices
    label: str
    facts: DatasetFacts | None


def prepare(
    config: JobConfig,
    root: Path,
    gpus: str | None,
    nproc: int | None,
    say: Callable[[str], None],
    launcher: Chosen,
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
    where = _devices(train, gpus, nproc, say, launcher)
    model = str(meant.run.path.resolve()) if meant.run else meant.path
    made = msgspec.structs.replace(config, paths=[model, *sets], options=options, train=train)
    called = f"{train.backbone}-{meant.step}" if train else meant.called
    return Ready(made, where, f"verify-{called}", facts)


def check(config: JobConfig, root: Path) -> None:
    """Raise `ArctermError` if the model, the sets or the options can't be what is meant."""
    _check(config, root)


def _check(config: JobConfig, root: Path) -> tuple[Meant, list[str], dict[str, Any]]:
    """Find the model; returns it with the paths of the sets and the options as the job gets them."""
    text, *places = config.paths
    options: dict[str, Any] = dict(config.options)
    meant = find_model(text, root, options["checkpoint"])
    refuse_feeding(meant, options)
    sets = [str(Path(place).absolute()) for place in places]
    options["reject_by"] = _quality(options["reject_by"])
    if meant.run:
        options["checkpoint"] = str(meant.step)
    elif not sets:
        raise _no_sets(Path(meant.path.partition(",")[0]))
    pairsets.find([Path(place) for place in sets])
    return meant, sets, options


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
    train: TrainConfig | None,
    gpus: str | None,
    nproc: int | None,
    say: Callable[[str], None],
    launcher: Chosen,
) -> Devices:
    """Where it works: on the training's devices, unless others are asked for or it worked elsewhere."""
    here = train is not None and not train.is_remote and train.hosts == 1 and not launcher.declared.remote
    if train and here and gpus is None and nproc is None:
        found = devices.for_verification(train)
        if where := devices.moved(train, found):
            say(where)
        return Devices(found, len(found) if train.gpus else train.nproc, "")
    chosen = launchers.place(launcher, gpus, nproc)
    if chosen.remark:
        say(f"device: {chosen.remark}")
    return chosen
