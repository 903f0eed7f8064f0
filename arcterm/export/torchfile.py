"""Weights saved by other PyTorch trainers, read without running anything in the file."""

from __future__ import annotations

import contextlib
import pickle
import resource
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from arcterm.errors import DataError
from arcterm.formats import modelkind

_NESTED = ("state_dict", "state_dict_backbone", "backbone", "model", "model_state_dict", "net", "network")
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.")
_HEADS = ("head.weight", "fc7.weight")
_ROOM = 512 << 20  # bytes for reading besides the weights themselves

State = dict[str, Tensor]


def read(path: Path) -> tuple[State, Tensor | None]:
    """Read the state dict of a .pt, .pth, .ckpt or .safetensors file, and its class weights (C, D) or None.

    On the CPU, in the file's order. A pickle is only read for tensors (``weights_only``), and meanwhile this
    process can't take much more memory than the file is long: call it in one that does nothing else. Raises
    `DataError`.
    """
    if modelkind.find_kind(path) == "safetensors":
        return split_head(_to_float32(_safetensors(path), path))
    with _bounded_memory(path):
        return split_head(_to_float32(find_state(_unpickled(path), path), path))


def _safetensors(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.offset_keys()}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} can't be read: {error}", "it was cut short, or is no safetensors") from None


@contextlib.contextmanager
def _bounded_memory(path: Path) -> Iterator[None]:
    """Let this process grow by four times the file at most: mapped, read, converted, and a copy."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check its name and permissions") from None
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + 4 * size + _ROOM
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    tighter = soft == resource.RLIM_INFINITY or limit < soft
    resource.setrlimit(resource.RLIMIT_AS, (limit if tighter else soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _unpickled(path: Path) -> Any:
    advice = (
        "save its state_dict alone where it was trained: torch.save(model.state_dict(), 'weights.pt'); "
        "arcterm runs no code from a file"
    )
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = next((line for line in str(error).splitlines() if "GLOBAL" in line), "")
        what = refused.strip() or "it holds more than tensors"
        raise DataError(f"{path} is not weights alone: {what}", advice) from None
    except MemoryError:
        raise DataError(f"{path} asks for far more memory than the file is long", advice) from None
    except PermissionError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check its permissions") from None
    except Exception as error:
        # a damaged archive raises whatever torch's readers raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise DataError(f"{path} is damaged, or no PyTorch file ({reason})", "copy it again") from error


def find_state(found: Any, path: Path) -> State:
    """Find the named tensors in a loaded object, without wrappers' prefixes; raises `DataError`."""
    for _ in range(3):
        inner = next((found[k] for k in _NESTED if isinstance(found, Mapping) and k in found), None)
        if not isinstance(inner, Mapping):
            break
        found = inner
    if not isinstance(found, Mapping):
        raise DataError(f"{path} holds {type(found).__name__}, no state dict", "save model.state_dict()")
    state = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise DataError(f"{path} holds no tensors", "save model.state_dict()")
    return state


def _to_float32(state: State, path: Path) -> State:
    """Convert to float32; raises `DataError` for an array that is no plain one or claims more than it has."""
    widened: State = {}
    for key, tensor in state.items():
        try:
            more = tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
            plain = not (tensor.is_meta or tensor.is_complex() or more)
            wide = tensor.float() if tensor.is_floating_point() else tensor
        except (RuntimeError, MemoryError):  # sparse, quantised, packed more tightly than bytes, or too large
            plain = False
        if not plain:
            raise DataError(f"{path}: {key[:80]!r} is no plain array of numbers", "save model.state_dict()")
        widened[key] = wide
    return widened


def split_head(state: State) -> tuple[State, Tensor | None]:
    """Part a state dict into the network's arrays and the class weights (C, D) saved beside them, if any."""
    state = dict(state)
    head = next((state.pop(key) for key in _HEADS if key in state), None)
    kernel = state.pop("head.kernel", None)  # AdaFace's, (D, C)
    if kernel is not None:
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
        head = kernel.T if head is None and kernel.ndim == 2 else head
    return _without_prefix(state), head if head is not None and head.ndim == 2 else None


def _without_prefix(state: State) -> State:
    """Strip the prefixes that DDP, compile or a wrapping module put before each key."""
    for prefix in _PREFIXES * 2:
        inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if len(inside) > len(state) / 2:  # a wrapper may also hold its head
            state = inside
    return state
