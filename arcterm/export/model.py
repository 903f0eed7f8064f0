"""A model: its network with weights, and its facts."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from arcterm_registry import PluginError, get, names
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arcterm.errors import ArctermError, DataError, is_out_of_memory
from arcterm.export import foreign, onnxmodel, recognise
from arcterm.export.firstlayer import change_input
from arcterm.export.foreign import Foreign
from arcterm.export.layers import Fit, fill, fill_by_name, in_order
from arcterm.export.onnxnetwork import OnnxNetwork
from arcterm.export.others.feeding import Known
from arcterm.export.recognise import Candidate
from arcterm.files import staged_file
from arcterm.formats import detectorfile, modelfile, modelkind
from arcterm.formats.modelfile import ModelFacts
from arcterm.overrides import options_for

_TURNED = "it takes BGR there, and RGB here: the first convolution is turned around"
_ERRNO = re.compile(r"os error (\d+)")


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode on the CPU; `head` has its class weights (C, D) if the file has.

    `headless` says why it has none where one was expected.
    """

    facts: ModelFacts
    network: nn.Module
    head: Tensor | None = None
    fit: Fit = field(default_factory=Fit)
    headless: str = ""


def open_model(place: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> Model:
    """Open the model at a `place` that `arcterm.inputs.models.locate` found.

    That is ``{"facts": …, "weights": PATH}`` of a checkpoint, ``{"symbol": PATH, "params": PATH}``,
    ``{"onnx": PATH}`` or ``{"file": PATH}``. `known` is what a user says of a foreign one
    (`inputs.preprocess.parse_known`). Raises `DataError`.
    """
    said = msgspec.convert(known or {}, Known)
    if "onnx" in place:
        return Model(*onnxmodel.read(Path(place["onnx"]), said))
    if "weights" in place:
        facts = msgspec.convert(place["facts"], ModelFacts)
        said.check(facts.source, facts.preprocess)
        return load(Path(place["weights"]), facts)
    if "params" in place:
        return _load_foreign(foreign.read_mxnet(Path(place["symbol"]), Path(place["params"])), said)
    path = Path(place["file"])
    card = modelfile.read_facts(path) if modelkind.find_kind(path) == "safetensors" else None
    if card is None:
        return _load_foreign(foreign.read_torch(path), said)
    said.check(path, card.preprocess)
    return load(path, card)


def count_parameters(found: Model) -> int:
    if isinstance(found.network, OnnxNetwork):
        return found.network.parameters_stored
    return sum(p.numel() for p in found.network.parameters())


def build(facts: ModelFacts) -> nn.Module:
    """Make the network that `facts` name, with random weights; raises `ArctermError`."""
    try:
        declared = get("backbone", facts.backbone)
        options = options_for(declared.options, facts.options, f"backbone {facts.backbone}")
        declared.check_together(options)
        if facts.input_size != declared.input_size:
            (h, w), (height, width) = facts.input_size, declared.input_size
            raise DataError(f"it takes {w}×{h} images, backbone {facts.backbone!r} {width}×{height}")
        network = declared.make(**options)
    except ArctermError:
        raise
    except PluginError as error:
        raise DataError(error.message, error.hint) from None
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DataError(
            f"backbone {facts.backbone!r} can't be made: {type(error).__name__}: {error}",
            f"`arcterm plugins check {facts.backbone}` says more",
        ) from error
    if not isinstance(network, nn.Module):
        raise DataError(f"backbone {facts.backbone!r} gave {type(network).__name__}, not a torch module")
    return network.eval()


def save(model: Model, path: Path) -> None:
    """Write a model file, whole or not at all. Raises `DataError`."""
    with staged_file(path) as stage:
        write(model, stage)


def write(model: Model, path: Path) -> None:
    """Put the weights and, in the header, the facts into a file; raises `OSError` if it can't be written."""
    tensors = {key: value.detach().contiguous() for key, value in model.network.state_dict().items()}
    if model.head is not None:
        tensors[modelfile.HEAD] = model.head.contiguous()
    try:
        save_file(tensors, path, metadata=modelfile.metadata(model.facts))
    except SafetensorError as error:  # which a full disk raises too
        if not (cause := _ERRNO.search(str(error))):
            raise
        raise OSError(int(cause[1]), os.strerror(int(cause[1])), str(path)) from error


def adapt_input(found: Model) -> Model:
    """Make it take images as the backbone declares, by changing the weights of its first convolution.

    That takes up the order of the planes and what each is multiplied with. Raises `DataError` where another
    number was subtracted: zeros at the border would no longer be the same.
    """
    facts, wanted = found.facts, get("backbone", found.facts.backbone).preprocess
    goal = msgspec.structs.replace(facts, mean=wanted.mean, scale=wanted.scale, channels=wanted.channels)
    here, there = facts.preprocess.planes, wanted.planes
    if any(mean != other for (mean, _), (other, _) in zip(here, there, strict=True)):
        raise DataError(
            f"{facts.source} takes images less {facts.mean_words}, backbone "
            f"{facts.backbone!r} images less {goal.mean_words}",
            "it can be embedded and exported, not trained on",
        )
    network = copy.deepcopy(found.network)
    if not change_input(network, facts.input_size, facts.preprocess, wanted):
        raise DataError(f"{facts.source} does not begin with a convolution that could take up its scale")
    return Model(goal, network, found.head, found.fit)


def load(path: Path, facts: ModelFacts) -> Model:
    """Load a model file of ours; raises `DataError` if they are not what `facts` say."""
    try:
        state = load_file(path)
        head = state.pop(modelfile.HEAD, None)
        with torch.device("meta"):  # sizes first: a card may ask for any amount of memory
            build(facts).load_state_dict(state, assign=True)
        network = build(facts)
        network.load_state_dict(state)
    except ArctermError as error:
        raise DataError(f"{path}: {error.message}", error.hint) from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} can't be read: {error}", "it was cut short or changed: copy it again"
        ) from None
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:500]
        raise DataError(f"{path} does not fit backbone {facts.backbone!r}: {reason}") from None
    _check_head(path, facts, head)
    return Model(facts, network, head)


def _check_head(path: Path, facts: ModelFacts, head: Tensor | None) -> None:
    """Raise `DataError` unless the class weights, one or more each, are of as many people as `facts` say."""
    held = (0, facts.embedding_size) if head is None else tuple(head.shape)
    if (held[0], held[-1]) != (facts.classes, facts.embedding_size):
        stated = (facts.classes, facts.embedding_size)
        raise DataError(
            f"{path} holds class weights {held}, its card says {stated}", "export the model again"
        )


def _load_foreign(found: Foreign, known: Known) -> Model:
    """Put a foreign file's weights into the backbone that they fit, taking RGB where it can."""
    if array := detectorfile.head_of_detector(found.shapes):
        raise detectorfile.refusal(found.source, f"it has {found.own_names.get(array, array)!r}")
    among: Sequence[str] = [known.backbone] if known.backbone else names("backbone")
    try:
        match = recognise.find(found.shapes, found.layers, among, known.options, found.own_names)
    except DataError as error:
        raise DataError(f"{found.source}: {error.message}", error.hint) from None
    candidate = match.candidate
    feeding = known.over(found.feeding)
    facts = ModelFacts(
        backbone=candidate.name,
        options=candidate.options,
        embedding_size=_embedding_size(candidate),
        input_size=candidate.declared.input_size,
        mean=feeding.preprocess.mean,
        scale=feeding.preprocess.scale,
        channels=feeding.preprocess.channels,
        input_basis=feeding.basis,
        classes=0 if found.head is None else len(found.head),
        source=Path(found.source).name,
    )
    network = build(facts)
    if match.by_name:
        fit = fill_by_name(network, found.state, found.eps)
        fit = Fit(fit.missing, [found.own_names.get(key, key) for key in fit.unexpected])
    else:
        fit = fill(found.layers, in_order(network, facts.input_size))
    goal = replace(facts.preprocess, channels="rgb")
    if goal != facts.preprocess and change_input(network, facts.input_size, facts.preprocess, goal):
        turned = f"{facts.input_basis}; " * bool(facts.input_basis) + _TURNED
        facts = msgspec.structs.replace(facts, channels="rgb", input_basis=turned)
    return Model(facts, network, found.head, fit, found.headless)


def _embedding_size(candidate: Candidate) -> int:
    """The length of the embeddings that a backbone with these options gives."""
    return int(candidate.options.get("embedding_size", candidate.declared.embedding_size))
