"""The model that a person means: a run, a checkpoint, or a file of ours or of another program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from arcterm_registry import Backbone, get

from arcterm.commandline import Value
from arcterm.config import TrainConfig
from arcterm.errors import DataError, RunError
from arcterm.files import read_json
from arcterm.formats import detectorfile, modelkind, onnxfile
from arcterm.formats.modelfile import ModelFacts, SetScore, read_facts
from arcterm.inputs import uses
from arcterm.overrides import options_for
from arcterm.runs import checkpoints, store
from arcterm.runs.checkpoints import Manifest
from arcterm.runs.events import Verify
from arcterm.runs.store import Run

_EPOCH = re.compile(r"(.+),(\d+)")
_PARAMS = re.compile(r"(.+)-(\d{4})\.params")
_LOCAL = (
    "kind",
    "dataset_options",
    "backbone_options",
    "device",
    "gpus",
    "threads",
    "pretrained",
    "teacher",
    "loader_threads",
)
FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".onnx", ".bin", ".tar")
"""Usual endings of single files that hold a model; what such a file is, its content says."""
HINT = (
    "give a run, a checkpoint's directory, a .safetensors, .onnx, .pt, .pth or .ckpt file, "
    "or MXNet's PREFIX,EPOCH"
)


def find(text: str, root: Path) -> Run | Path | dict[str, Any]:
    """Find what `text` means: a run, a checkpoint's directory, or the place of a model file.

    A place is what `arcterm.export.model.open_model` takes. Raises `ArctermError` naming what is missing.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return _file(path)
    if (path / checkpoints.MANIFEST).is_file():
        return path
    if found := _EPOCH.fullmatch(text):
        return _mxnet(Path(found[1]).expanduser(), int(found[2]))
    if path.suffix in (*FILES, ".params"):
        raise DataError(f"there is no file {text}", HINT)
    try:
        return store.find(root, str(path), uses.TRAINED)
    except RunError as error:
        raise RunError(error.message, f"{error.hint}; {HINT}") from None


def locate(text: str, root: Path, which: str = "last") -> dict[str, Any]:
    """Return the place of the model that `text` means, as `arcterm.export.model.open_model` takes it.

    `which` checkpoint of a run: last, best, or a step. Raises `ArctermError` naming what is missing.
    """
    found = find(text, root)
    if isinstance(found, Run):
        found, _ = checkpoints.choose(found, which)
    return _checkpoint(found) if isinstance(found, Path) else found


def _file(path: Path) -> Path | dict[str, Any]:
    if found := _PARAMS.fullmatch(path.name):
        return _mxnet(path.with_name(found[1]), int(found[2]))
    if path.name == checkpoints.BACKBONE and (path.parent / checkpoints.MANIFEST).is_file():
        return path.parent
    kind = modelkind.find_kind(path)
    if kind == "onnx":
        return {"onnx": str(path.resolve())}
    if kind in ("params", "symbol"):
        raise DataError(
            f"{path} is one of two files of an MXNet network",
            "name them PREFIX-symbol.json and PREFIX-0000.params, and give PREFIX,0",
        )
    if kind is None:
        raise DataError(f"{path} is no model file that is known here", HINT)
    return {"file": str(path.resolve())}


def _mxnet(prefix: Path, epoch: int) -> dict[str, Any]:
    symbol = prefix.with_name(f"{prefix.name}-symbol.json")
    weights = prefix.with_name(f"{prefix.name}-{epoch:04d}.params")
    for file in (symbol, weights):
        if not file.is_file():
            there = sorted(p.name for p in prefix.parent.glob(f"{prefix.name}-*.params"))[:5]
            raise DataError(
                f"{prefix},{epoch} needs {file.name}, which is not in {prefix.parent.resolve()}",
                f"there: {', '.join(there) or 'no .params of that prefix'}; the two go together",
            )
    return {"symbol": str(symbol.resolve()), "params": str(weights.resolve())}


def _checkpoint(path: Path) -> dict[str, Any]:
    manifest = checkpoints.check(path, only=checkpoints.BACKBONE)
    run = Run(path.resolve().parent.parent)
    config = run.config if (run.path / "run.json").is_file() else None
    facts = _facts(path, manifest, config, _scores(run, manifest.step))
    shards = [
        [str((path / part.file).resolve()), part.lo, part.hi, manifest.files[part.file].sha256]
        for part in manifest.head
    ]
    return {
        "weights": str((path / checkpoints.BACKBONE).resolve()),
        "facts": msgspec.to_builtins(facts),
        "head": shards,
        "classes": manifest.classes,
    }


def _facts(path: Path, manifest: Manifest, config: TrainConfig | None, scores: list[SetScore]) -> ModelFacts:
    declared = get("backbone", manifest.backbone)
    return ModelFacts(
        backbone=manifest.backbone,
        options=config.backbone_options if config else _usual(declared, manifest.embedding_size),
        embedding_size=manifest.embedding_size,
        input_size=declared.input_size,
        mean=declared.preprocess.mean,
        scale=declared.preprocess.scale,
        channels=declared.preprocess.channels,
        source=f"{path.resolve().parent.parent.name}/{path.name}",
        step=manifest.step,
        data=_data(config),
        recipe=_recipe(config) if config else {},
        scores=scores,
    )


def _usual(declared: Backbone, embedding_size: int) -> dict[str, Value]:
    """The options of a checkpoint that was copied away from its run, which alone has them in full."""
    size = {"embedding_size": embedding_size} if declared.option("embedding_size") else {}
    return options_for(declared.options, size, "the backbone")


def _recipe(config: TrainConfig) -> dict[str, Any]:
    """The settings that made a model, without places and devices of the machine that it was made on."""
    settings: dict[str, Any] = msgspec.to_builtins(config)
    return {key: value for key, value in settings.items() if key not in _LOCAL} | {
        "global_batch": config.global_batch
    }


def _data(config: TrainConfig | None) -> str:
    """The data set's name, and the last part of its path: no one else needs the rest."""
    if config is None:
        return ""
    path = config.dataset_options.get("path")
    return f"{config.dataset} {Path(str(path)).name}" if path else config.dataset


def _scores(run: Run, step: int) -> list[SetScore]:
    path = run.path / "verify" / f"step-{step:010d}.json"
    try:
        results = read_json(path, list[Verify])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "remove it, and verify again") from None
    return card_scores(results)


def card_scores(results: Sequence[Verify]) -> list[SetScore]:
    """Return `results` as a model's card has them: no numbers of a network that has collapsed."""
    return [
        SetScore(set=r.set, pairs=r.pairs, withheld=r.collapse)
        if r.collapse
        else msgspec.convert(r, SetScore, from_attributes=True)
        for r in results
    ]


def refuse_graph(place: dict[str, Any]) -> None:
    """Raise `DataError` for an ONNX file, where weights of a backbone are needed."""
    if "onnx" in place:
        detectorfile.refuse_graph(onnxfile.read(Path(place["onnx"])))
        raise DataError(
            f"{place['onnx']} is a graph that onnxruntime runs, not weights of a backbone",
            "`arcterm verify`, `embed` and `compare` take it as it is; give the weights that it came from",
        )


def facts_of(place: dict[str, Any]) -> ModelFacts | None:
    """Return the facts of a located model without reading its weights; None for a foreign file.

    Raises `DataError` for a damaged file.
    """
    if "facts" in place:
        return msgspec.convert(place["facts"], ModelFacts)
    if "onnx" in place:
        return onnxfile.read(Path(place["onnx"])).facts
    path = Path(place.get("file", ""))
    if path.is_file() and modelkind.find_kind(path) == "safetensors":
        return read_facts(path)
    return None
