"""The weights that a run starts from: a checkpoint's, or a model file's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcterm_registry import Backbone, get

from arcterm.commandline import Value
from arcterm.errors import ConfigError, DataError, RunError
from arcterm.formats.modelfile import ModelFacts, read_facts
from arcterm.inputs import models
from arcterm.launch import adopted
from arcterm.overrides import options_for
from arcterm.runs import checkpoints
from arcterm.runs.checkpoints import Manifest
from arcterm.runs.manifest import NAME
from arcterm.runs.store import Run

_HINT = f"--pretrained takes what `arcterm model show MODEL` takes: {models.HINT}"


@dataclass(frozen=True)
class Pretrained:
    """A checkpoint's directory, or a model file of ours; `classes` is the number of class weights it has.

    `damaged` says what is wrong with newer checkpoints of the run, in whose place this one is taken.
    """

    path: Path
    classes: int
    damaged: tuple[str, ...] = ()


def find(
    text: str, root: Path, backbone: str, options: Mapping[str, Value], *, keep_head: bool = False
) -> Pretrained:
    """Find what `text` means: a checkpoint, a run's newest whole one, or a model file, its path absolute.

    A file of another program is first turned into one of ours, once, in ``.models`` of the runs' directory.
    Raises `ArctermError` if there is none, it is damaged, or its backbone is not `backbone` with `options`.
    """
    used = "" if keep_head else checkpoints.BACKBONE
    found = models.find(text, root)
    if isinstance(found, dict):
        return _file(found, root, backbone, options, keep_head)
    damaged: tuple[str, ...] = ()
    if isinstance(found, Run):
        found, manifest, damaged = _newest(found, used)
    else:
        manifest = checkpoints.check(found, only=used)
    run = Run(found.resolve().parent.parent)
    made = run.config if (run.path / "run.json").is_file() else None  # none of a copy away from its run
    _check_backbone(found, manifest.backbone, made.backbone_options if made else None, backbone, options)
    return Pretrained(found.resolve(), manifest.classes if manifest.head else 0, damaged)


def check_classes(found: Pretrained, classes: int) -> None:
    """Raise `ConfigError` unless the class weights of `found` are for `classes` people."""
    if found.classes != classes:
        held = f"those of {found.classes:,} people" if found.classes else "no class weights"
        raise ConfigError(
            f"{found.path} holds {held}, the data set has {classes:,}",
            "--head drop starts with new ones, or give the data that it was trained with",
        )


def _file(
    place: dict[str, Any], root: Path, backbone: str, options: Mapping[str, Value], keep_head: bool
) -> Pretrained:
    models.refuse_graph(place)
    facts = models.facts_of(place)
    path = Path(place.get("file", place.get("params", "")))
    declared = get("backbone", backbone)
    if facts is None or not _takes_the_same(facts, declared):
        path = _adopted(place, root, backbone, options, keep_head)
        facts = read_facts(path)
        assert facts is not None
    _check_backbone(path, facts.backbone, facts.options, backbone, options)
    return Pretrained(path, facts.classes)


def _takes_the_same(facts: ModelFacts, declared: Backbone) -> bool:
    here, there = facts.preprocess, declared.preprocess
    return here.planes == there.planes and here.channels == there.channels


def _adopted(
    place: dict[str, Any], root: Path, backbone: str, options: Mapping[str, Value], keep_head: bool
) -> Path:
    known = {"backbone": backbone, "options": dict(options)}
    request = {"known": known, "head": "keep" if keep_head else "drop", "declared_input": True}
    return adopted.adopt(place, root, f"{backbone} {_words(options)} {keep_head}", request)


def _newest(run: Run, used: str) -> tuple[Path, Manifest, tuple[str, ...]]:
    """Return the newest checkpoint whose file `used`, or every file, is whole, and faults of newer ones."""
    damaged: list[str] = []
    found = [path for path in run.checkpoints.glob("step-*") if NAME.fullmatch(path.name)]
    for path in sorted(found, reverse=True):
        try:
            return path, checkpoints.check(path, only=used), tuple(damaged)
        except DataError as error:
            damaged.append(error.message)
    problem = "; ".join(damaged) or "it has no checkpoint yet"
    raise RunError(f"{run.name} has no backbone to start with: {problem}", _HINT)


def _check_backbone(
    path: Path,
    held: str,
    held_options: Mapping[str, Value] | None,
    backbone: str,
    options: Mapping[str, Value],
) -> None:
    if held_options is not None and held == backbone:  # an older file lacks newer options
        declared = get("backbone", held).options
        held_options = options_for(declared, held_options, f"backbone {held}")
        options = options_for(declared, options, f"backbone {held}")
    here, there = f"{backbone} {_words(options)}".rstrip(), held
    if held_options is not None:
        there = f"{held} {_words(held_options)}".rstrip()
    if (here != there) if held_options is not None else (backbone != held):
        raise ConfigError(
            f"{path} holds a backbone {there}, the new run's is {here}",
            "choose the same backbone and --set backbone.KEY=VALUE, or another --pretrained",
        )


def _words(options: Mapping[str, Value]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(options.items()))
