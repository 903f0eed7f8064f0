"""``verify``: the job that scores a model on verification sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import torch
from arcterm_registry.contracts import Curve, JobReport, PairSet
from torch import nn

from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.export import cardscores
from arcterm.export.model import Model, open_model
from arcterm.files import require_free, staged_file, write_json
from arcterm.inputs import models, pairsets, preprocess
from arcterm.runs.context import JobContext
from arcterm.runs.events import Verify
from arcterm.train import build, precision
from arcterm.train.evaluation import verify_sets
from arcterm.train.report import announce
from arcterm.train.world import World
from arcterm.verify import mistakes
from arcterm.verify.embed import Embedder, Scored
from arcterm.verify.fold import fold_if_any
from arcterm.verify.measure import NORM, Measured, measure

_BATCH = {"cuda": 128, "cpu": 32}


def verify(
    context: JobContext,
    model: str,
    *sets: str,
    checkpoint: str,
    channels: str,
    mean: str,
    std: str,
    batch_size: int | None,
    show_errors: str,
    reject_by: str,
) -> JobReport:
    """Score a model on the verification `sets`, or on those of the data set that it was trained with.

    `model` is a run's directory, whose `checkpoint` is meant, or a file (see `arcterm.models`). `channels`,
    `mean` and `std` say how images enter a file that doesn't. The embeddings of a set are shared out over the
    ranks and gathered on all of them, so that each comes to the same scores and to the same error; rank 0
    writes them down. Raises `DataError`.
    """
    world, train = cast(World, context.world), context.run.record.config.train
    known = preprocess.parse_preprocess(channels=channels, mean=mean, std=std)
    context.progress(0, 0, "loading", Path(model).name + (f" checkpoint {checkpoint}" if train else ""))
    place = models.locate(model, context.run.path.parent, checkpoint)
    found = open_model(place, known)
    if found.facts.input_basis:
        context.say(f"{Path(model).name} takes {found.facts.input_words}")
    step = found.facts.step
    chosen = _sets(context, sets, train)
    if show_errors:
        require_free(Path(show_errors))
    if reject_by not in ("", NORM) and len(chosen) > 1:
        raise DataError(
            f"{reject_by} has qualities of one set's images, and {len(chosen)} sets are scored",
            "score that set alone",
        )
    announce(context.own_journal, world, step, step)
    context.step = step
    made = _embedder(context, found, train, batch_size)
    measured: dict[str, Measured] = {}

    def keep(scored: Scored) -> None:
        measured[scored.name] = measure(scored, reject_by)

    results, failed = verify_sets(made, chosen, step, context.journal, between=context.agree, keep=keep)
    name = found.facts.source or Path(model).name
    _require_scores(name, results, failed)
    return _report(context, name, _Outcome(place, results, failed, measured), show_errors)


class _Outcome(NamedTuple):
    """The model's place, the results by set, why sets failed, and what else was measured of each."""

    place: Mapping[str, Any]
    results: list[Verify]
    failed: dict[str, str]
    measured: dict[str, Measured]


def _sets(context: JobContext, sets: tuple[str, ...], train: TrainConfig | None) -> Mapping[str, PairSet]:
    if sets:
        return pairsets.find([Path(place) for place in sets])
    if train is None:
        raise DataError(f"{context.run.path} doesn't say which sets are meant", "give them behind the model")
    return build.dataset(train, context.run.record.set_aside).verification


def _embedder(
    context: JobContext, found: Model, train: TrainConfig | None, batch_size: int | None
) -> Embedder:
    """Make the embedder: in float32, so that accuracies compare with published ones.

    The network of a training whose `precision` is bfloat16 computes in that where it is on a GPU.
    """
    world, facts = cast(World, context.world), found.facts
    network: nn.Module = found.network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = train is not None and train.precision == "bfloat16" and world.device.type == "cuda"
    if half:
        precision.keep_embedding_exact(network, torch.zeros(2, 3, *facts.input_size, device=world.device))
    network = fold_if_any(network, facts.input_size, context.say)
    batch = batch_size or (train.batch_size if train else _BATCH[world.device.type])
    dtype = torch.bfloat16 if half else torch.float32
    return Embedder(network, facts.preprocess, facts.input_size, batch, world, dtype)


def _require_scores(source: str, results: list[Verify], failed: dict[str, str]) -> None:
    """Raise `DataError` if the model `source` gives what are no embeddings, or no set can be scored."""
    # "the network has collapsed: " and the same words, unlike pairs of one kind by a collapsed network
    withheld = (result.withheld for result in results if result.withheld)
    useless = next((why for why in withheld if any(why in result.collapse for result in results)), "")
    if useless:
        raise DataError(f"{source}: {useless}", "verify an earlier checkpoint, or another file")
    if failed and not results:
        said = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise DataError(
            f"no verification set can be scored: {said}", "`arcterm data check DIR` looks at them"
        )


def _report(context: JobContext, name: str, scored: _Outcome, show_errors: str) -> JobReport:
    """Say and write down what was found; rank 0 does."""
    results = scored.results
    collapse = next((result.collapse for result in results if result.collapse), "")
    said = [f"verification set {name} is set aside: {why}" for name, why in scored.failed.items()]
    for text in filter(None, [*said, collapse]):
        context.say(text, "warning")
    if not cast(World, context.world).first:
        return JobReport(lines=[])
    write_json(context.run.path / "verify" / f"step-{context.step:010d}.json", results)
    if note := cardscores.keep(scored.place, results):
        context.say(note, "warning")
    scores = context.run.path / "verify" / f"step-{context.step:010d}-distances.npz"
    with staged_file(scores) as stage, stage.open("wb") as file:
        np.savez(file, **{each.wrong.name: each.distances for each in scored.measured.values()})  # type: ignore[arg-type]
    if show_errors:
        mistakes.write(Path(show_errors), name, [each.wrong for each in scored.measured.values()])
    lines = [line for result in results for line in _lines(result, scored.measured.get(result.set))]
    if show_errors:
        lines.append(f"the wrong pairs: {Path(show_errors) / 'index.html'}")
    return JobReport(
        lines=lines or ["the data set has no verification sets"],
        data={
            "model": name,
            "step": context.step,
            "verification": [_data(result, scored.measured.get(result.set)) for result in results],
            "set_aside": scored.failed,
            "errors": show_errors,
            "distances": str(scores),
        },
        reason=collapse,
        curves=_roc(scored.measured),
    )


def _roc(measured: Mapping[str, Measured]) -> list[Curve]:
    """The ROC of every set that has pairs of both kinds, in one diagram."""
    rates = {name: each.data["measured"] for name, each in measured.items() if each.data["measured"]}
    lines = {name: [(point["far"], point["tar"]) for point in found["roc"]] for name, found in rates.items()}
    return [Curve(title="ROC", x="FAR", y="TAR", lines=lines, log_x=True)] if lines else []


def _lines(result: Verify, measured: Measured | None) -> list[str]:
    return [result.line, *(measured.lines if measured else ())]


def _data(result: Verify, measured: Measured | None) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(result)
    return {key: value for key, value in fields.items() if key not in ("k", "t")} | (
        measured.data if measured else {}
    )
