"""A model from an ONNX file: what of its graph is the image, and what the embedding."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from arcterm_registry import Preprocess
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.export.onnxnetwork import TYPES, OnnxNetwork
from arcterm.export.others import feeding as feeds
from arcterm.export.others.feeding import Feeding, Known
from arcterm.formats import detectorfile, onnxfile
from arcterm.formats.modelfile import ModelFacts
from arcterm.formats.onnxfile import OnnxFile, Shape, Tensor
from arcterm.text import clean

BACKBONE = "onnx"
"""What the facts of another program's file name as the backbone."""
_USUAL = 112
_PIXELS = Preprocess(mean=0.0, scale=1.0)
_LARGEST = 2048  # side of an image, images at once


def read(path: Path, known: Known) -> tuple[ModelFacts, OnnxNetwork]:
    """Open an ONNX file as a network of normalised images, with its facts; raises `DataError`.

    The facts are those of its card, if arcterm wrote it, else what is `known` and what the graph shows.
    """
    found = onnxfile.read(path)
    detectorfile.refuse_graph(found)
    onnxfile.check_external(found)
    if importlib.util.find_spec("onnxruntime") is None:
        raise DataError(f"{path} is an ONNX file, which onnxruntime runs", "pip install 'arcterm[onnx]'")
    network, size = _entry(found)
    card = found.facts
    more = _choose_output(found, network, size)
    network.parameters_stored = found.parameters
    feeding = _feeding(found, network, card)
    if card:
        known.check(path, feeding.preprocess)
    said = known.over(feeding)
    said = replace(said, basis="; ".join(filter(None, [said.basis, more])))
    facts = card or ModelFacts(backbone=BACKBONE, embedding_size=network.width, source=path.name)
    facts = msgspec.structs.replace(
        facts,
        embedding_size=network.width,
        input_size=size,
        mean=said.preprocess.mean,
        scale=said.preprocess.scale,
        channels=said.preprocess.channels,
        input_basis=said.basis,
        classes=0,
    )
    return facts, network


def _listed(tensors: Sequence[Tensor]) -> str:
    return ", ".join(map(str, tensors[:12])) + (f" and {len(tensors) - 12} more" if len(tensors) > 12 else "")


def _entry(found: OnnxFile) -> tuple[OnnxNetwork, tuple[int, int]]:
    """Find how images enter the graph, and their (height, width); raises `DataError`."""
    path = found.path
    if len(found.inputs) != 1:
        named = _listed(found.inputs) or "none"
        raise DataError(f"{path} has {len(found.inputs)} inputs, not one of images: {named}")
    entry = found.inputs[0]
    shape: Shape = ("", 3, "", "") if entry.shape is None else entry.shape
    last = len(shape) == 4 and shape[1] != 3 and shape[3] == 3
    sides = shape[1:3] if last else shape[2:4]
    if len(shape) != 4 or (not last and isinstance(shape[1], int) and shape[1] != 3):
        raise DataError(
            f"{path} takes no colour images: its input is {entry}", "images are (N, 3, H, W) or (N, H, W, 3)"
        )
    if entry.type not in TYPES:
        raise DataError(f"{path} takes {entry.type}, no pixels: its input is {entry}")
    height, width = (side if isinstance(side, int) else _USUAL for side in sides)
    batch = shape[0] if isinstance(shape[0], int) else 0
    if max(height, width, batch) > _LARGEST:
        raise DataError(f"{path} takes far more than images of a face: its input is {entry}")
    return OnnxNetwork(path, input=entry.name, kind=entry.type, last=last, batch=batch), (height, width)


def _choose_output(found: OnnxFile, network: OnnxNetwork, size: tuple[int, int]) -> str:
    """Run the graph on noise and give the network its output; returns what to say of that, if anything.

    A graph that says it takes any number of images and does not is given them one by one.
    """
    names = [each.name for each in found.outputs]
    draw = np.random.default_rng(0)
    shape = (2, *size, 3) if network.last else (2, 3, *size)
    noise: NDArray[Any] = draw.integers(0, 2, shape).astype(np.dtype(network.kind))
    cpu = torch.device("cpu")
    if network.batch == 0 and not _takes_two(network, noise, names, cpu):
        network.batch = 1
    count = 1 if network.batch == 1 else 2
    rows = network.run(noise[:count], names, cpu)
    shapes: list[Shape] = [tuple(row.shape) for row in rows]
    wide = [i for i, each in enumerate(shapes) if _is_embedding(each, count)]
    shown = ", ".join(f"{clean(n)!r} {s}" for n, s in zip(names[:12], shapes, strict=False))
    if detectorfile.detects(list(zip(names, shapes, strict=True))):
        raise detectorfile.refusal(found.path, f"its outputs are boxes: {shown}")
    if len(wide) != 1:
        which = "several embeddings" if wide else "no embedding, N rows of numbers,"
        raise DataError(
            f"{found.path} gives {which} for {count} images: {shown}",
            "export it again with the embedding as its only output",
        )
    network.output, network.width = names[wide[0]], int(shapes[wide[0]][1])
    others = [clean(name) for i, name in enumerate(names) if i != wide[0]]
    return f"its output {clean(network.output)!r} is used, not {', '.join(others)}" if others else ""


def _takes_two(network: OnnxNetwork, noise: NDArray[Any], names: list[str], device: torch.device) -> bool:
    network.session(device)  # whose errors are not about the number of images
    try:
        found = network.run(noise, names, device)
    except DataError:
        return False
    return any(_is_embedding(tuple(row.shape), len(noise)) for row in found)


def _is_embedding(shape: Shape, count: int) -> bool:
    """(N, D), or (N, D, 1, 1), with D > 1."""
    return len(shape) >= 2 and shape[0] == count and shape[1] != 1 and all(size == 1 for size in shape[2:])


def _feeding(found: OnnxFile, network: OnnxNetwork, card: ModelFacts | None) -> Feeding:
    if card:
        return Feeding(_PIXELS if network.kind == "uint8" else card.preprocess, card.input_basis)
    if network.kind == "uint8":
        return Feeding(_PIXELS, "its input is uint8: the pixels as they are")
    if found.normalises:
        return Feeding(_PIXELS, "its graph begins by subtracting and scaling: the pixels as they are")
    return feeds.ONNX
