"""An ONNX file's graph as a torch module, run by onnxruntime."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.errors import DataError, is_out_of_memory

_TYPES = {"float32": np.float32, "float16": np.float16, "float64": np.float64, "uint8": np.uint8}
TYPES = frozenset(_TYPES)
"""Element types of images that can be fed."""


class OnnxNetwork(nn.Module):
    """Normalised images (N, 3, H, W) float32 → embeddings (N, D) float32, on the device of the images.

    It runs on that device if onnxruntime can use CUDA, else on the CPU. `last` says that colours are the last
    axis of the file's input, `batch` how many images it takes at once, 0 for any number; the last images of
    another number are filled up with zeros. `output` names the embedding, of D = `width`. `parameters_stored`
    counts the numbers of the file's arrays.
    """

    def __init__(self, path: Path, *, input: str, kind: str, last: bool, batch: int) -> None:
        super().__init__()
        self.path = path
        self.input = input
        self.kind = kind
        self.last = last
        self.batch = batch
        self.output = ""
        self.width = 0
        self.parameters_stored = 0
        self._sessions: dict[str, Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxNetwork:
        return copy.copy(self)  # sessions are not copied, and don't change

    def forward(self, images: Tensor) -> Tensor:
        """Raises `DataError` for what onnxruntime raises."""
        pixels = self._entering(images)
        if not len(pixels):
            return images.new_zeros(0, self.width)
        batch = self.batch or len(pixels)
        rows = [
            self.run(pixels[start : start + batch], [self.output], images.device)[0]
            for start in range(0, len(pixels), batch)
        ]
        found = np.concatenate(rows).astype(np.float32, copy=False)
        if len(found) != len(pixels):
            raise DataError(f"{self.path} gave {len(found)} embeddings for {len(pixels)} images")
        return torch.from_numpy(found.reshape(len(pixels), -1)).to(images.device)

    def _entering(self, images: Tensor) -> NDArray[Any]:
        """The images in the file's type and layout."""
        arranged = images.detach().permute(0, 2, 3, 1) if self.last else images.detach()
        if self.kind == "uint8":
            arranged = arranged.round().clamp(0, 255).to(torch.uint8)
        found: NDArray[Any] = arranged.cpu().numpy().astype(_TYPES[self.kind], copy=False)
        return np.ascontiguousarray(found)

    def run(self, pixels: NDArray[Any], outputs: list[str], device: torch.device) -> list[NDArray[Any]]:
        """Run at most a batch, filled up where that is fixed; returns `outputs`, those with a row an image of
        the images given."""
        count = len(pixels)
        if self.batch > count:
            pixels = np.concatenate([pixels, np.zeros((self.batch - count, *pixels.shape[1:]), pixels.dtype)])
        try:
            found = self.session(device).run(outputs, {self.input: pixels})
        except DataError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise DataError(
                f"{self.path} does not run on {count} images: {first_line(error)}",
                "the graph is damaged, or made for a newer onnxruntime",
            ) from None
        arrays = [np.asarray(array) for array in found]
        return [a[:count] if a.ndim and len(a) == len(pixels) else a for a in arrays]

    def session(self, device: torch.device) -> Any:
        """The runtime's session on a device, made once; raises `DataError`."""
        import onnxruntime

        cuda = device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        name = str(device) if cuda else "cpu"
        if name not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4  # errors are raised, too
            options.intra_op_num_threads = torch.get_num_threads()
            providers: list[Any] = ["CPUExecutionProvider"]
            if cuda:
                providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
            try:
                self._sessions[name] = onnxruntime.InferenceSession(
                    str(self.path), options, providers=providers
                )
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise DataError(
                    f"onnxruntime {onnxruntime.__version__} can't run {self.path}: {first_line(error)}",
                    "the file is damaged, or needs operators that this onnxruntime has not",
                ) from None
        return self._sessions[name]


def first_line(error: Exception) -> str:
    """The reason in a runtime's error, without its code's places."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rpartition(" : ")[2][:300]
