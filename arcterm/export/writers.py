"""Models as files that run elsewhere, each compared with the network before it gets its name."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arcterm_registry import Preprocess
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.errors import ArctermError, ConfigError, DataError, FailedError
from arcterm.export import model as models
from arcterm.export.model import Model
from arcterm.formats import modelfile
from arcterm.formats.modelfile import ModelFacts
from arcterm.verify import collapse
from arcterm.verify.embed import normalize

Floats = NDArray[np.float32]
Runner = Callable[[NDArray[Any]], Floats]

_OPSET = 18
_BATCHES = (1, 7)
_TOLERANCE = 1e-4  # of the largest number of an embedding
_ELSEWHERE = "another --format may work; `arcterm plugins check NAME` looks at the backbone"


class Prepared(nn.Module):
    """A network with its preprocessing: uint8 RGB images (N, H, W, 3) → embeddings (N, D)."""

    def __init__(self, network: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.network = network
        self.preprocess = preprocess

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(normalize(images, self.preprocess))
        return found


@dataclass(frozen=True)
class Parity:
    """The largest difference from torch, as a share of the largest number, at each size of batch."""

    differences: dict[int, float]

    def __str__(self) -> str:
        worst = max(self.differences.values())
        sizes = " and ".join(map(str, self.differences))
        return (
            f"Compared with PyTorch at batches of {sizes}: at most {worst:.1e} of the largest number apart."
        )


def write(model: Model, form: str, path: Path, *, inside: bool) -> Parity:
    """Write `model` to `path`, read it back and compare; `inside` puts the preprocessing into the graph.

    Raises `ArctermError` if the file does not compute what the network does; it is for the caller to remove.
    """
    made = Prepared(model.network, model.facts.preprocess) if inside else model.network
    network = copy.deepcopy(made).eval()
    writer = {"onnx": _onnx, "torchscript": _torchscript, "safetensors": _safetensors}[form]
    try:
        runner = writer(model, network, path, inside)
    except ArctermError:
        raise
    except Exception as error:  # whatever an exporter raises
        if isinstance(error, OSError) and error.errno is not None:  # a full disk says nothing of the network
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise FailedError(f"{form} can't hold {model.facts.backbone!r}: {reason}", _ELSEWHERE) from error
    try:
        return compare(network, runner, lambda count: example(model.facts, count, inside))
    except DataError as error:
        raise DataError(
            f"{model.facts.source or model.facts.backbone}: {error.message}", error.hint
        ) from None


def example(facts: ModelFacts, count: int, inside: bool) -> Tensor:
    """Draw `count` images of noise as the file takes them; a seed of its own for each number."""
    draw = torch.Generator().manual_seed(count)
    height, width = facts.input_size
    pixels = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=draw)
    return pixels if inside else normalize(pixels, facts.preprocess)


def compare(network: nn.Module, runner: Runner, images: Callable[[int], Tensor]) -> Parity:
    """Compare the outputs of `runner` and `network`; raises `ArctermError` if they differ."""
    differences = {}
    for count in _BATCHES:
        x = images(count)
        with torch.inference_mode():
            wanted = network(x).numpy()
        if useless := collapse.find_useless(wanted, "noise"):
            raise DataError(
                useless,
                "the network has collapsed, or its weights are damaged: export an earlier checkpoint",
            )
        try:
            found = runner(x.numpy())
        except Exception as error:  # whatever a runtime raises
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise FailedError(f"the file does not take {count} images: {reason}", _ELSEWHERE) from error
        if found.shape != wanted.shape:
            raise FailedError(f"the file gives {found.shape} for {count} images, PyTorch {wanted.shape}")
        apart = float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-12))
        if not apart <= _TOLERANCE:
            raise FailedError(
                f"the file's embeddings of {count} images are {apart:.1e} of the largest number from "
                f"PyTorch's; {_TOLERANCE:.0e} is allowed, so it was not kept",
                _ELSEWHERE,
            )
        differences[count] = apart
    return Parity(differences)


def _onnx(model: Model, network: nn.Module, path: Path, inside: bool) -> Runner:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise ConfigError(f"ONNX needs {error.name}", "pip install 'arcterm[onnx]'") from None
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example(model.facts, 2, inside),),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for key, value in _described(model.facts, inside).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save_model(proto, str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: session.run(["embeddings"], {"images": images})[0]


def _torchscript(model: Model, network: nn.Module, path: Path, inside: bool) -> Runner:
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        traced = torch.jit.trace(network, example(model.facts, 2, inside), check_trace=False)
        whole = io.BytesIO()  # torch's own writer doesn't say why it could not write
        torch.jit.save(traced, whole, _extra_files=_described(model.facts, inside))
        path.write_bytes(whole.getbuffer())
        loaded = torch.jit.load(str(path))
    return lambda images: loaded(torch.from_numpy(images)).detach().numpy()


def _safetensors(model: Model, network: nn.Module, path: Path, inside: bool) -> Runner:
    if inside:
        raise ConfigError("safetensors hold weights, no graph to put preprocessing in", "--preprocess card")
    models.write(model, path)
    loaded = models.load(path, model.facts).network
    return lambda images: loaded(torch.from_numpy(images)).detach().numpy()


def _described(facts: ModelFacts, inside: bool) -> dict[str, str]:
    """The card's facts as texts, for formats that carry such."""
    return {
        modelfile.KEY: modelfile.encode(facts),
        "input": input_words(facts, inside),
    }


def input_words(facts: ModelFacts, inside: bool) -> str:
    """Word what the file's `images` are."""
    height, width = facts.input_size
    if inside:
        return f"uint8 RGB images (N, {height}, {width}, 3), as they are"
    return (
        f"float32 {facts.channels.upper()} images (N, 3, {height}, {width}), each number (0..255) "
        f"less {facts.mean_words}, times 1/{facts.std_words}"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
