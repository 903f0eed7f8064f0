"""Objects of other programs in a checkpoint, replaced by placeholders that do nothing.

PyTorch's reader for weights alone calls only what it is given by name. It is given a placeholder for every
name that it does not know, so nothing that a file names is imported or called.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Literal

import torch
from torch import Tensor

_REFUSED = re.compile(r"GLOBAL (\S{1,200}) was not an allowed global")
_FILE = "file"  # in place of a module, so that errors show the names
_FILLED = re.compile(r"Can only (SETITEMS?|append|extend)\b.*but got <class 'file\.([^']{1,200})'>")
_BLOCKED = re.compile(r"unsupported GLOBAL (\S{1,200}) whose module")
_MOST = 500  # names in one file
_DEEPEST = 32  # modules within modules
_MODULES = """
    os posix nt sys importlib subprocess shutil socket runpy pty ctypes code codeop operator pickle timeit
    pdb bdb profile cProfile webbrowser multiprocessing asyncio threading signal
"""
_FUNCTIONS = "eval exec compile open getattr setattr delattr input map filter breakpoint __import__"
_HARMFUL = frozenset(_MODULES.split())  # of no use in a checkpoint, and of much to who wants to harm
_BUILTINS = frozenset(_FUNCTIONS.split())
_PYTHON = ("builtins", "__builtin__")
_NAME = "_arcterm_stands_for"


Kind = Literal["object", "dict", "list"]


class HarmfulError(Exception):
    """A file that wants to call something that no checkpoint needs; the message is its name."""


class _Inert:
    """A placeholder: an object with the attributes that the file gives it."""

    def __init__(self, *arguments: Any, **named: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):  # a tuple's second part are slots
            if isinstance(part, dict):
                self.__dict__.update(part)


def reading(file: BinaryIO, read: Callable[[], Any]) -> Any:
    """Return what `read` reads of `file` when PyTorch is given a placeholder for every name it does not know.

    `read` loads weights alone. Raises `HarmfulError`, and what PyTorch's readers raise of a damaged file.
    """
    kinds: dict[str, Kind] = dict.fromkeys(_unknown(file), "object")
    for _ in range(_MOST):
        if harmful := next(filter(_is_harmful, sorted(kinds)), None):
            raise HarmfulError(harmful)
        given: list[Any] = [(_placeholder(name, kind), name) for name, kind in sorted(kinds.items())]
        try:
            with torch.serialization.safe_globals(given), warnings.catch_warnings(action="ignore"):
                file.seek(0)
                return read()
        except pickle.UnpicklingError as error:
            more = _learnt(str(error))
            if more.items() <= kinds.items() or any(kinds.get(name) in ("dict", "list") for name in more):
                raise
            kinds |= more
    raise pickle.UnpicklingError(f"it names more than {_MOST} classes")


def _learnt(error: str) -> dict[str, Kind]:
    """What an error of PyTorch says of a name: that it is not known, or is of a container of its own."""
    if found := _FILLED.search(error):
        return {found[2]: "dict" if found[1].startswith("SET") else "list"}
    if not (found := _REFUSED.search(error) or _BLOCKED.search(error)):
        return {}
    # the module of what is built in is left out
    bare = {f"{module}.{found[1]}" for module in _PYTHON} if "." not in found[1] else set()
    return dict.fromkeys({found[1], *bare}, "object")


def _unknown(file: BinaryIO) -> set[str]:
    """The names in an archive that PyTorch does not know; of a file in an older form they come one by one."""
    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except ValueError:  # of an older form
        return set()


def _is_harmful(name: str) -> bool:
    module, _, rest = name.rpartition(".")
    return name.partition(".")[0] in _HARMFUL or (module in ("", *_PYTHON) and rest in _BUILTINS)


def _placeholder(name: str, kind: Kind) -> type:
    """Make a class of its own for a name.

    PyTorch's reader fills only plain dictionaries and lists, so what is filled like these gives such.
    """

    def make(_: type, *arguments: Any, **named: Any) -> Any:
        if kind == "list":
            return []
        made: OrderedDict[Any, Any] = OrderedDict()
        made.__dict__[_NAME] = name
        return made

    return type(name, (_Inert,), {"__module__": _FILE} | ({} if kind == "object" else {"__new__": make}))


def name_of(thing: Any) -> str:
    """The class that a placeholder stands for; empty if it is none."""
    if isinstance(thing, _Inert):
        return type(thing).__name__
    return str(vars(thing).get(_NAME, "")) if type(thing) is OrderedDict else ""


def state_of(thing: Any) -> dict[str, Tensor]:
    """The state dict of a module that was saved whole; empty if the placeholder is of something else."""
    return dict(_arrays(thing, "", 0))


def _arrays(thing: Any, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    held = vars(thing) if name_of(thing) else {}
    for kind in ("_parameters", "_buffers"):
        part = held.get(kind)
        for name, tensor in part.items() if isinstance(part, Mapping) else ():
            if isinstance(tensor, Tensor):
                yield f"{prefix}{name}", tensor.detach()
    inner = held.get("_modules")
    for name, module in inner.items() if isinstance(inner, Mapping) and depth < _DEEPEST else ():
        yield from _arrays(module, f"{prefix}{name}.", depth + 1)
