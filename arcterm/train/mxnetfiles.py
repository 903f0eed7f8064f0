"""MXNet's files of a training, written after verifications as InsightFace's script of 2018 wrote them.

Verification N, at step N · `verify_every`, writes ``PREFIX-000N.params`` and ``PREFIX-symbol.json``, if the
rule picks it. What is written is the checkpoint of that step, so that no rank waits for more than a reader.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from arcterm_registry import get
from arcterm_registry.contracts import Margin
from safetensors.torch import load_file
from torch import nn

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.export import mxnetgraph
from arcterm.files import read_json, staged_file
from arcterm.formats.mxnet import params
from arcterm.runs import checkpoints
from arcterm.runs import manifest as manifests
from arcterm.runs.events import Message, MxnetFile, Phase, Verify
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.head import file
from arcterm.train.head.head import Head

_FIRST_ENOUGH, _FIRST_LEAST = 0.998, 0.99


def is_worth_saving(rounds: Sequence[Sequence[float]]) -> bool:
    """Return whether 2018's script saved after the last of `rounds`: the accuracies of the sets in order.

    It does at a new best of the first set that is 0.998 or more, and where the last set is as good as ever
    and the first has 0.99.
    """
    first_best = last_best = 0.0
    saving = False
    for accuracies in rounds:
        saving = False
        if not accuracies:
            continue
        first, last = accuracies[0], accuracies[-1]
        if first > first_best:
            first_best, saving = first, first >= _FIRST_ENOUGH
        if last >= last_best:
            last_best, saving = last, saving or first >= _FIRST_LEAST
    return saving


class MxnetFiles:
    """The files of one training; rank 0 writes them."""

    def __init__(self, run: Run, config: TrainConfig, trained: Trained, journal: Sink) -> None:
        self._run, self._config, self._trained, self._journal = run, config, trained, journal

    def round_at(self, step: int) -> int:
        """The number of the verification at `step`; 0 if there is none, or if no files are wanted."""
        wanted = self._config.mxnet_prefix and step % self._config.verify_every == 0
        return step // self._config.verify_every if wanted else 0

    def write(self, step: int, results: Sequence[Verify]) -> None:
        """Write the files of the verification at `step` if the rule picks it; a warning says if that fails.

        The checkpoint of the step must be there, and so must the results of all verifications before it.
        """
        number = self.round_at(step)
        if not number:
            return
        rounds = [*self._before(number), _accuracies(results)]
        if self._config.mxnet_save == "best" and not is_worth_saving(rounds):
            return
        self._journal.write(Phase(phase="checkpoint", detail=f"MXNet's files {number}"))
        started, prefix = time.perf_counter(), Path(self._config.mxnet_prefix)
        place = prefix.with_name(f"{prefix.name}-{number:04d}.params")
        try:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            with staged_file(prefix.with_name(f"{prefix.name}-symbol.json")) as stage:
                stage.write_bytes(self._symbol.json)
            self._write_arrays(self._run.checkpoints / checkpoints.name_of(step), place)
        except (ArctermError, OSError) as error:  # the checkpoint, by which the training goes on, is there
            reason = error.message if isinstance(error, ArctermError) else f"{place}: {error.strerror}"
            self._journal.write(Message(level="warning", text=f"MXNet's files of step {step}: {reason}"))
            return
        seconds, size = time.perf_counter() - started, place.stat().st_size
        self._journal.write(
            MxnetFile(step=step, round=number, path=str(place), bytes=size, seconds=round(seconds, 3))
        )

    def _before(self, number: int) -> list[list[float]]:
        """Read the accuracies of the verifications before `number`."""
        steps = (each * self._config.verify_every for each in range(1, number))
        paths = [self._run.path / "verify" / f"{checkpoints.name_of(step)}.json" for step in steps]
        return [_accuracies(read_json(path, list[Verify])) if path.is_file() else [] for path in paths]

    @property
    def _margin(self) -> Margin | None:
        """The loss, if MXNet's one product with the class weights is what it has."""
        head = self._trained.head
        return head.margin if isinstance(head, Head) and head.margin.centers == 1 else None

    @cached_property
    def _symbol(self) -> mxnetgraph.WrittenSymbol:
        # a network of its own: the one that is trained may be wrapped, to compute blocks again or in bfloat16
        declared = get("backbone", self._config.backbone)
        with torch.device("meta"):
            network = declared.make(**self._config.backbone_options).eval()
        head = self._trained.head
        rows = (head.count, head.weight.shape[-1]) if isinstance(head, Head) else (0, 0)
        return mxnetgraph.symbol_of(network, declared.preprocess, self._margin, rows)

    def _write_arrays(self, checkpoint: Path, place: Path) -> None:
        state, head = load_file(checkpoint / checkpoints.BACKBONE), self._trained.head
        named: dict[str, nn.Parameter] = {}
        if self._margin is not None and isinstance(head, Head):
            named["weight"] = nn.Parameter(torch.empty(head.count, head.weight.shape[-1]))
            if self._margin.bias:
                named["bias"] = nn.Parameter(torch.empty(head.count))
            file.fill_rows(checkpoint, manifests.read(checkpoint).head, named, range(head.count))
        arrays = mxnetgraph.arrays_of(self._symbol, state, named.get("weight"), named.get("bias"))
        params.write(place, arrays)


def _accuracies(results: Sequence[Verify]) -> list[float]:
    """The accuracies of a verification, set by set; one that was withheld counts as 0."""
    return [result.accuracy or 0.0 for result in results]
