"""Weights of MTCNN from the three kinds of files that others pass on, read without running any of them.

All three hold the same numbers. FaceNet's ``det1.npy`` … are for transposed images, axes (x, y, in, out);
MXNet's ``det1-0001.params`` … for upright BGR ones, with the features before the first dense layer in the
order channel, y, x; facenet-pytorch's ``pnet.pt`` … are what `networks` takes.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.detectors.cascade.networks import Output, Proposal, Refinement
from arcterm.detectors.places import MTCNN_FILES
from arcterm.errors import DataError
from arcterm.formats import npydict
from arcterm.formats.lfs import refuse_pointer_file
from arcterm.formats.mxnet import params

_LARGEST = 32 << 20  # bytes of a file; O-Net has 1.6 million
_MOST_PROBLEMS = 12
_ADVICE = (
    "MTCNN's files are det1.npy det2.npy det3.npy of FaceNet, det1-0001.params … of InsightFace, or those of "
    "`pip install --no-deps facenet-pytorch`"
)

Arrays = dict[str, NDArray[np.float32]]
Networks = tuple[Proposal, Refinement, Output]


def load(folder: Path) -> Networks:
    """Make the three networks with the weights in `folder`; raises `DataError` with all that is wrong."""
    files = _choose(folder)
    networks: Networks = (Proposal(), Refinement(), Output())
    problems = []
    for file, network in zip(files, networks, strict=True):
        try:
            fill(network, file)
        except DataError as error:
            problems.append(error)
    if problems:
        hints = dict.fromkeys(error.hint for error in problems)
        raise DataError("; ".join(error.message for error in problems), "; ".join(hints))
    return networks


def fill(network: nn.Module, path: Path) -> None:
    """Put the weights of the file `path` into `network`; raises `DataError` if they are another's."""
    arrays = read(path)
    wanted = {name: tuple(array.shape) for name, array in network.state_dict().items()}
    wrong = [f"no {name}" for name in wanted if name not in arrays]
    wrong += [f"{name[:40]!r}, which it hasn't" for name in arrays if name not in wanted]
    for name, shape in wanted.items():
        if name in arrays and arrays[name].shape != shape:
            wrong.append(f"{name} of {arrays[name].shape} in place of {shape}")
        elif name in arrays and not np.isfinite(arrays[name]).all():
            wrong.append(f"{name} with numbers that aren't finite")
    if wrong:
        more = f" and {len(wrong) - _MOST_PROBLEMS} more" if len(wrong) > _MOST_PROBLEMS else ""
        listed = ", ".join(wrong[:_MOST_PROBLEMS]) + more
        raise DataError(f"{path} is not MTCNN's {type(network).__name__} network: it has {listed}", _ADVICE)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    network.eval().requires_grad_(False)


def read(path: Path) -> Arrays:
    """Read the arrays of one network by the names in `networks`; raises `DataError`."""
    refuse_pointer_file(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", _ADVICE) from None
    if size > _LARGEST:
        raise DataError(f"{path} is no file of MTCNN: it has more than {_LARGEST >> 20} MiB", _ADVICE)
    return {
        name: np.ascontiguousarray(array, np.float32) for name, array in _READERS[path.suffix](path).items()
    }


def _choose(folder: Path) -> tuple[Path, ...]:
    """The three files of one kind in `folder`; raises `DataError` if no kind is complete."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise DataError(f"{folder} {what}: MTCNN's weights are a folder of three files", _ADVICE)
    sets = [tuple(folder / name for name in names) for names in MTCNN_FILES]
    complete = [files for files in sets if all(file.exists() for file in files)]
    if complete:
        return complete[0]
    begun = max(sets, key=lambda files: sum(file.exists() for file in files))
    missing = ", ".join(file.name for file in begun if not file.exists())
    if not any(file.exists() for file in begun):
        missing = "three files of any kind that holds MTCNN"
    raise DataError(f"{folder} lacks {missing}", _ADVICE)


def _read_npy(path: Path) -> Mapping[str, Any]:
    arrays = {}
    names = {"weights": "weight", "biases": "bias", "alpha": "weight"}
    for layer, parts in npydict.read(path).items():
        dense = any(array.ndim == 2 for array in parts.values())
        for part, array in parts.items():
            arrays[_name(layer, names.get(part, part), dense)] = array.T
    return arrays


def _read_params(path: Path) -> Mapping[str, Any]:
    read = params.read(path)
    dense = {key.rpartition("_")[0] for key, array in read.items() if array.ndim == 2}
    arrays = {}
    for key, array in read.items():
        layer, _, part = key.rpartition("_")
        if array.ndim == 4 and array.shape[1] == 3:
            array = array[:, ::-1]  # noqa: PLW2901  from BGR
        if array.ndim == 2 and array.shape[1] in (3 * 3 * 64, 3 * 3 * 128):
            upright = array.reshape(len(array), -1, 3, 3)
            array = upright.transpose(0, 3, 2, 1).reshape(array.shape)  # noqa: PLW2901
        arrays[_name(layer.removeprefix("arg:"), part.replace("gamma", "weight"), layer in dense)] = array
    return arrays


def _name(layer: str, part: str, dense: bool) -> str:
    """An array's name in `networks`: of ``conv5-1`` or ``PReLU1``."""
    plain = layer.lower().replace("-", "_")
    return f"{plain.replace('conv', 'dense') if dense else plain}.{part}"


def _read_torch(path: Path) -> Mapping[str, Any]:
    """Read a state dict: tensors alone, and none from an archive that unpacks to far more than it is."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                    raise ValueError("its parts are far larger than the file")
        with warnings.catch_warnings(action="ignore"):
            found = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(found, Mapping) or not all(isinstance(each, Tensor) for each in found.values()):
            raise ValueError("it is no dictionary of tensors")
        return {str(name): tensor.float().numpy() for name, tensor in found.items()}
    except pickle.UnpicklingError:
        raise DataError(f"{path} holds more than tensors, and nothing of it is run", _ADVICE) from None
    except Exception as error:
        # a damaged file raises whatever torch's readers raise
        reason = f"{error}".splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged, or no PyTorch file: {reason}", _ADVICE) from error


_READERS: dict[str, Callable[[Path], Mapping[str, Any]]] = {
    ".npy": _read_npy,
    ".params": _read_params,
    ".pt": _read_torch,
}
