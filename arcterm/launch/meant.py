"""The models that a job is about, found before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from arcterm_registry import get

from arcterm.commandline import Value
from arcterm.config import JobConfig
from arcterm.errors import ConfigError, DataError
from arcterm.formats.pairs import binfile
from arcterm.inputs import models, preprocess
from arcterm.runs import checkpoints, state
from arcterm.runs.store import Run


class Meant(NamedTuple):
    """The model that is meant: its path or PREFIX,EPOCH, what it is called, its training and step if any.

    `path` of a run's is the checkpoint's directory.
    """

    path: str
    called: str
    run: Run | None = None
    step: int = 0


def find_model(text: str, root: Path, which: str = "last") -> Meant:
    """Find the model that `text` means, of a run its checkpoint `which`; raises `ArctermError`."""
    found = models.find(text, root)
    if isinstance(found, dict):
        _refuse_set(Path(text).expanduser())
        file = found.get("file") or found.get("onnx")
        path = Path(text.partition(",")[0]).expanduser()
        named = str(file) if file else f"{path.absolute()}{text[len(text.partition(',')[0]) :]}"
        return Meant(named, path.name.partition(".")[0])
    if isinstance(found, Run):
        run = found
        state.check_whole(run)
        _ = run.config  # which raises for a job
        place, manifest = checkpoints.choose(run, which)
    else:
        place, manifest = found, checkpoints.check(found, only=checkpoints.BACKBONE)
        run = Run(found.resolve().parent.parent)
        if not (run.path / "run.json").is_file():  # a copy away from its run
            return Meant(str(found.resolve()), found.resolve().name)
    return Meant(str(place.resolve()), run.name, run, manifest.step)


def refuse_feeding(meant: Meant, options: Mapping[str, Value | None]) -> None:
    """Raise `ArctermError` if `options` say how images enter a run's model, or say it in no known way."""
    said: dict[str, Any] = {key: options.get(key) or "" for key in ("channels", "mean", "std")}
    if preprocess.parse_preprocess(**said) and meant.run:
        raise ConfigError(
            f"{meant.called} is a run, which says itself how its images enter",
            "leave out --channels, --mean and --std",
        )


def resolve_models(config: JobConfig, root: Path) -> JobConfig:
    """Return the job with the paths of the models that its texts mean, so that a resume takes the same.

    Raises `ArctermError` for one that isn't there, or that `refuse_feeding` refuses.
    """
    paths = list[str]()
    for place, own in get("job", config.plugin).share_out(config.paths):
        for text in own:
            if place.model:
                meant = find_model(text, root, str(config.options.get("checkpoint") or "last"))
                refuse_feeding(meant, config.options)
                paths.append(meant.path)
            else:
                paths.append(text)
    return msgspec.structs.replace(config, paths=paths)


def _refuse_set(path: Path) -> None:
    """Raise `ConfigError` for a verification set in the model's place."""
    if path.suffix != ".bin" or not path.is_file():
        return
    try:
        binfile.read_pairs(path)
    except DataError:
        return  # weights may have this ending too
    raise ConfigError(f"{path} is a verification set, no model", "give a model first: a run or a file")
