"""The checkpoint whose backbone a run begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from arcterm.config import TrainConfig, Value
from arcterm.errors import ConfigError, DataError, RunError
from arcterm.runs import checkpoints, store
from arcterm.runs.checkpoints import Manifest
from arcterm.runs.store import Run

_HINT = "give --init-from a run (its name, id or directory) or a checkpoint's directory"


def find(text: str, root: Path, backbone: str, options: Mapping[str, Value]) -> Path:
    """The absolute directory of the checkpoint that `text` means: itself, or a run's newest whole one.

    Raises `ArctermError` if there is none, it is damaged, or its backbone is not `backbone` with `options`.
    """
    path = Path(text).expanduser()
    if (path / checkpoints.MANIFEST).is_file():
        manifest = checkpoints.check(path, only=checkpoints.BACKBONE)
        run = Run(path.resolve().parent.parent)
    else:
        run = store.find(root, str(path))
        path, manifest = _newest(run)
    _check_backbone(path, manifest, _config_of(run), backbone, options)
    return path.resolve()


def _newest(run: Run) -> tuple[Path, Manifest]:
    """The newest checkpoint whose backbone is whole."""
    problem = "it has no checkpoint yet"
    for path, _ in reversed(checkpoints.list_checkpoints(run)):
        try:
            return path, checkpoints.check(path, only=checkpoints.BACKBONE)
        except DataError as error:
            problem = error.message
    raise RunError(f"{run.name} has no backbone to start with: {problem}", _HINT)


def _config_of(run: Run) -> TrainConfig | None:
    """The config of the training that made a checkpoint; None of one that was copied away from its run."""
    return run.config if (run.path / "run.json").is_file() else None


def _check_backbone(
    path: Path, manifest: Manifest, made: TrainConfig | None, backbone: str, options: Mapping[str, Value]
) -> None:
    here, there = f"{backbone} {_words(options)}".rstrip(), manifest.backbone
    if made is not None:
        there = f"{made.backbone} {_words(made.backbone_options)}".rstrip()
    if (here != there) if made is not None else (backbone != there):
        raise ConfigError(
            f"{path} holds a backbone {there}, the new run's is {here}",
            "choose the same backbone and --set backbone.KEY=VALUE, or another --init-from",
        )


def _words(options: Mapping[str, Value]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(options.items()))
