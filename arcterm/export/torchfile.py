"""Weights saved by other PyTorch trainers, read without running anything in the file."""

from __future__ import annotations

import contextlib
import pickle
import re
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from arcterm.errors import DataError
from arcterm.export.others import classweights, inert
from arcterm.formats import modelkind
from arcterm.text import clean

_NESTED = ("state_dict", "state_dict_backbone", "backbone", "model", "model_state_dict", "net", "network")
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.")
_SOFTMAX = "state_dict_softmax_fc"
_COLOR_SPACE = re.compile(r"""color_space["']?\s*[:=]\s*["']?(RGB|BGR)""", re.I)
_CONFIG = 1 << 16  # bytes of a config at most
_PROGRAM = "it is TorchScript, a program, and arcterm runs nothing of a stranger's"
_ADVICE = "save its weights where it was trained, as a state dict or as ONNX"
_ROOM = 512 << 20  # bytes for reading besides the weights themselves

State = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """A file's named arrays as they are, float32, in its order, and what else of it says how they are used.

    `head` has the class weights (C, D) that lie apart from the arrays, `headless` why they can't be had;
    `color_space` is CVLface's setting.
    """

    arrays: State
    head: Tensor | None = None
    headless: str = ""
    color_space: str = ""


def read(path: Path) -> Weights:
    """Read the weights of a file that PyTorch or safetensors wrote.

    On the CPU. Objects in a pickle that are no tensors are inert, and meanwhile this process can't take much
    more memory than the file is long: call it in one that does nothing else. Raises `DataError`.
    """
    if modelkind.find_kind(path) == "safetensors":
        return Weights(_to_float32(_safetensors(path), path), color_space=_color_space({}, path))
    with _bounded_memory(path):
        found = _unpickled(path)
        arrays = _to_float32(find_state(found, path), path)
        return Weights(arrays, *_sharded_head(found, path), _color_space(found, path))


def _sharded_head(found: Any, path: Path) -> tuple[Tensor | None, str]:
    """The class weights of arcface_torch, of this rank and of those whose files lie beside it, or why not."""
    if _shard(found) is None:
        return None, ""
    files, missing = classweights.shard_files(path)
    if missing:
        return None, f"{path.name} has those of one rank; not beside it: {', '.join(missing)}"
    shards = [_shard(found if file == path else _unpickled(file)) for file in files]
    whole = classweights.join([shard for shard in shards if shard is not None])
    return whole, "" if whole is not None else f"those in {path.name} and beside it are no equal parts"


def _shard(found: Any) -> Tensor | None:
    held = found.get(_SOFTMAX) if isinstance(found, Mapping) else None
    rows = held.get("weight") if isinstance(held, Mapping) else None
    return rows.float() if isinstance(rows, Tensor) and rows.ndim == 2 else None


def _color_space(found: Any, path: Path) -> str:
    """``rgb`` or ``bgr`` of CVLface's config in the file or beside it; empty if there is none."""
    for key in ("config", "conf", "cfg", "hyper_parameters"):
        config = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(config, Mapping) and str(config.get("color_space")).lower() in ("rgb", "bgr"):
            return str(config["color_space"]).lower()
    for name in ("model.yaml", f"{path.stem}.yaml", "config.yaml", "config.json"):
        beside = path.with_name(name)
        if not beside.is_file() or beside.stat().st_size > _CONFIG:
            continue
        if said := _COLOR_SPACE.search(beside.read_text(encoding="utf-8", errors="replace")):
            return said[1].lower()
    return ""


def _safetensors(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.offset_keys()}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} can't be read: {error}", "it was cut short, or is no safetensors") from None


@contextlib.contextmanager
def _bounded_memory(path: Path) -> Iterator[None]:
    """Let this process grow by four times the file at most: mapped, read, converted, and a copy.

    The file is that with those of other ranks beside it, whose class weights are read too.
    """
    try:
        size = sum(file.stat().st_size for file in classweights.shard_files(path)[0])
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
    try:
        with path.open("rb") as file:  # not by its name: PyTorch goes by the ending
            return inert.reading(file, lambda: torch.load(file, map_location="cpu", weights_only=True))
    except inert.HarmfulError as error:
        raise DataError(
            f"{path} is not weights alone: it wants to call {error}, which no checkpoint needs",
            "do not use it: arcterm ran nothing of it, another program may",
        ) from None
    except pickle.UnpicklingError as error:
        raise DataError(f"{path} is not weights alone, or damaged: {_plain(error)}", _ADVICE) from None
    except MemoryError:
        raise DataError(f"{path} asks for far more memory than the file is long", _ADVICE) from None
    except PermissionError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check its permissions") from None
    except Exception as error:
        # a damaged archive raises whatever torch's readers raise
        if "torchscript" in str(error).lower():
            raise DataError(f"{path} is no PyTorch file of weights: {_PROGRAM}", _ADVICE) from None
        reason = clean(f"{type(error).__name__}: {error}".splitlines()[0])[:200]
        raise DataError(f"{path} is damaged, or no PyTorch file ({reason})", "copy it again") from error


def _plain(error: Exception) -> str:
    """PyTorch's reason without its advice, which is to trust the file."""
    line = str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0]
    return "it holds more than tensors" if "weights_only" in line or not line else clean(line)[:200]


def find_state(found: Any, path: Path) -> State:
    """Find the named tensors in a loaded object, without wrappers' prefixes; raises `DataError`."""
    for _ in range(3):
        inner = next((found[k] for k in _NESTED if isinstance(found, Mapping) and _holds(found.get(k))), None)
        if inner is None:
            break
        found = inner
    if whole := inert.state_of(found):
        return whole
    if not isinstance(found, Mapping) or inert.name_of(found):
        kind = inert.name_of(found) or type(found).__name__
        raise DataError(f"{path} holds {clean(kind)[:200]}, no state dict", _ADVICE)
    state = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise DataError(f"{path} holds no tensors", _ADVICE)
    return state


def _holds(thing: Any) -> bool:
    """Whether it is a state dict, or holds one, or is a network that was saved whole."""
    return bool(inert.state_of(thing)) or (isinstance(thing, Mapping) and not inert.name_of(thing))


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
            raise DataError(f"{path}: {key[:80]!r} is no plain array of numbers", _ADVICE)
        widened[key] = wide
    return widened


def split_head(state: State) -> tuple[State, Tensor | None]:
    """Part a state dict into the network's arrays and the class weights (C, D) saved beside them, if any."""
    network, head = classweights.split_off(state)
    return without_prefix(network), head


def without_prefix(state: State) -> State:
    """Strip the prefixes that DDP, compile or a wrapping module put before each key."""
    for prefix in _PREFIXES * 2:
        inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if len(inside) > len(state) / 2:  # a wrapper may also hold its head
            state = inside
    return state
