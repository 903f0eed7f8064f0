"""Weights to start from: a checkpoint's, or those of a model file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from arcterm.files import read_json
from arcterm.formats import modelfile
from arcterm.runs import checkpoints
from arcterm.train.checkpoint import reading
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.head import file
from arcterm.train.head.head import Head


def load(path: Path, trained: Trained, *, keep_head: bool) -> None:
    """Give the backbone, and with `keep_head` the head, the weights at `path`; optimizers start anew.

    An average begins with them. `path` is a checkpoint's directory or a model file. Raises KeyError, OSError,
    RuntimeError or SafetensorError if they do not fit.
    """
    _load(path, trained, trained.head if keep_head and isinstance(trained.head, Head) else None)
    if trained.average:
        trained.average.begin()


def _load(path: Path, trained: Trained, head: Head | None) -> None:
    if path.is_dir():
        reading.load_backbone(path, trained.backbone)
        if head is not None:
            shards = read_json(path / checkpoints.MANIFEST, checkpoints.Manifest).head
            file.load_rows(path, shards, head)
        return
    state = load_file(path)
    rows = state.pop(modelfile.HEAD, None)
    trained.backbone.load_state_dict(state)
    if head is not None:
        if rows is None:
            raise KeyError(f"{modelfile.HEAD} in {path}")
        mine = rows[head.classes.start : head.classes.stop]
        if mine.shape != head.weight.shape or len(rows) != head.count:
            raise RuntimeError(f"class weights {tuple(rows.shape)} for {head.count} people")
        with torch.no_grad():
            head.weight.copy_(mine)
