"""Checks of a backbone that take long: compiled, and exported to ONNX."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from arcterm_registry.conformance.backbone import difference, images, make
from arcterm_registry.conformance.findings import Failed, Skipped, require
from arcterm_registry.conformance.subject import Subject

_ALIKE = 1e-3
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def compiled(subject: Subject) -> str:
    """torch.compile gives the embeddings of the network as it is."""
    if subject.quick:
        raise Skipped("left out of a quick check")
    compiler = os.environ.get("CXX") or "g++"
    if subject.compiler == "inductor" and not (shutil.which(compiler) or shutil.which("clang++")):
        raise Skipped(f"there is no C++ compiler {compiler!r} here, which torch.compile needs on a CPU")
    network = make(subject).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = network(images(subject, 2))
        fast = torch.compile(network, backend=subject.compiler)
        error = difference(plain, fast(images(subject, 2)))
    torch.compiler.reset()
    require(
        error <= _ALIKE,
        f"compiled it differs by {error:.2g}",
        "let forward() depend on its input alone, not on Python values that change",
    )
    return f"within {error:.1g}"


def onnx(subject: Subject) -> str:
    """Exported to ONNX with a free batch size it gives the same embeddings at batch 1 and 7."""
    if subject.quick:
        raise Skipped("left out of a quick check")
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise Skipped("install arcterm[onnx]")
    network = make(subject).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        _export(network, images(subject, 2), path)
        session = import_module("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
        worst = 0.0
        for count in (1, 7):
            with torch.no_grad():
                plain = network(images(subject, count))
            try:
                (out,) = session.run(None, {session.get_inputs()[0].name: images(subject, count).numpy()})
            except Exception as error:
                raise Failed(
                    f"exported to ONNX it does not take a batch of {count}: {str(error).splitlines()[0]}",
                    "derive sizes from x.shape, not from numbers",
                ) from error
            worst = max(worst, difference(plain, torch.from_numpy(out)))
    require(worst <= _ALIKE, f"exported to ONNX it differs by {worst:.2g}", "use operations that ONNX has")
    return f"within {worst:.1g} at batch 1 and 7"


def _export(network: torch.nn.Module, x: Tensor, path: Path) -> None:
    talk = logging.getLogger("torch.onnx")  # it warns of operators of torchvision, which are not used
    level = talk.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        talk.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                network, (x,), dynamo=True, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False
            )
        except Exception as error:
            cause = error.__cause__ or error
            words = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
            raise Failed(
                f"torch.onnx can't export it with a free batch size: {words[:300]}",
                "no Python branches on values, and sizes taken from x.shape",
            ) from error
        finally:
            talk.setLevel(level)
        assert program is not None
        program.save(path)


CHECKS = (compiled, onnx)
