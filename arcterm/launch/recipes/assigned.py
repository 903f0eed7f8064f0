"""The assignments of a Python config, read as a tree and never run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from arcterm import files
from arcterm.errors import ConfigError, DataError
from arcterm.launch.recipes.arithmetic import UNREAD, Unread, work_out

_MOST_BYTES = 256 << 10
_HINT = "give a config of arcface_torch"
_MOST_FILES = 8
_LONGEST = 60
_DICTS = ("edict", "EasyDict", "dict")


class Falls(NamedTuple):
    """A rate that is multiplied by `gamma` after each of `epochs`."""

    epochs: list[int]
    gamma: float


class Assigned(NamedTuple):
    """What a config assigns, later over earlier; the other files that it takes in; lines that stay unread."""

    values: dict[str, Any]
    bases: list[Path]
    unread: list[str]


def read(path: Path) -> Assigned:
    """Read a config and what it imports from files beside it; a ``base.py`` there goes below it.

    Raises `ConfigError` if it is no Python, or can't be read.
    """
    found = Assigned({}, [], [])
    base = next((b for b in _beside(path, "base") if b.resolve() != path.resolve()), None)
    if base is not None:
        _include(base, found)
    _Config(path, found).follow(_parse(path))
    return found


def _parse(path: Path) -> list[ast.stmt]:
    try:
        with files.open_regular(path, ours=False) as file:
            data = file.read(_MOST_BYTES + 1)
    except DataError as error:
        raise ConfigError(error.message, _HINT) from None
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}", _HINT) from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is longer than {_MOST_BYTES:,} bytes", "a config takes a few lines")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stranger's escapes
            return ast.parse(data).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(f"{path} is not Python: {why}", _HINT) from None


def _beside(path: Path, module: str) -> list[Path]:
    """The files that a module of that name may be: in the config's folder or the one above."""
    places = (path.parent / f"{module}.py", path.absolute().parent.parent / f"{module}.py")
    return [place for place in places if place.is_file()]


def _include(path: Path, found: Assigned) -> None:
    """Read another file's assignments into `found`, once."""
    if path.resolve() in (base.resolve() for base in found.bases) or len(found.bases) >= _MOST_FILES:
        return
    found.bases.append(path)
    _Config(path, found).follow(_parse(path))


class _Config:
    """One file, followed statement by statement. Its config is whatever it calls ``edict()``."""

    def __init__(self, path: Path, found: Assigned) -> None:
        self._path, self._found = path, found
        self._configs = {"config", "cfg"}
        self._names: dict[str, Any] = {}
        self._functions: dict[str, ast.FunctionDef] = {}

    def follow(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            try:
                self._take(statement)
            except (Unread, ArithmeticError, TypeError, ValueError, RecursionError) as error:
                why = str(error) if isinstance(error, Unread) else UNREAD
                text = _shown(statement)
                where = f"{self._path.name} line {statement.lineno}"
                self._found.unread.append(f"{where}: `{text}` is not taken over: {why}")

    def _take(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._import(statement)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, value)
            case ast.AugAssign(target=target, op=op, value=value):
                self._assign(target, ast.BinOp(left=target, op=op, right=value))
            case ast.FunctionDef(name=name):
                self._functions[name] = statement
            case ast.If(test=test, body=body, orelse=otherwise):
                self.follow(body if self._value(test) else otherwise)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update")) as call):
                if name not in self._configs:
                    raise Unread("it changes something else than the config")
                self._found.values.update(self._dictionary(call))
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                raise Unread("it is no assignment")

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        """Follow a file beside; other modules have no settings."""
        taken = [a.name for a in statement.names]
        modules = taken if isinstance(statement, ast.Import) else [statement.module or taken[0]]
        for module in modules:
            for place in _beside(self._path, module.rpartition(".")[2])[:1]:
                _include(place, self._found)
        self._configs |= {a.asname for a in statement.names if a.name == "config" and a.asname}

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name) if self._makes_config(value):
                self._configs.add(name)
                if isinstance(value, ast.Call):
                    self._found.values.update(self._dictionary(value))
            case ast.Name(id=name):
                self._names[name] = self._value(value)
            case ast.Attribute(value=ast.Name(id=owner), attr=key) if owner in self._configs:
                self._found.values[key] = self._value(value)
            case ast.Subscript(value=ast.Name(id=owner), slice=ast.Constant(value=str(key))):
                if owner not in self._configs:
                    raise Unread("it changes something else than the config")
                self._found.values[key] = self._value(value)
            case _:
                raise Unread("it changes something else than the config")

    def _makes_config(self, value: ast.expr) -> bool:
        if isinstance(value, ast.Name):
            return value.id in self._configs and value.id not in self._names
        return isinstance(value, ast.Call) and self._called(value) in _DICTS

    def _called(self, call: ast.Call) -> str:
        return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")

    def _dictionary(self, call: ast.Call) -> dict[str, Any]:
        """The keys and values that ``edict(…)`` or ``config.update(…)`` is given."""
        found: dict[str, Any] = {}
        for argument in call.args:
            given = self._value(argument)
            if not isinstance(given, dict):
                raise Unread(UNREAD)
            found |= given
        return found | {word.arg: self._value(word.value) for word in call.keywords if word.arg}

    def _value(self, node: ast.expr) -> Any:
        return work_out(node, self._named)

    def _named(self, node: ast.expr) -> Any:
        """The value of a name, of one of the config's own, or of ``dict(…)``; raises `Unread`."""
        match node:
            case ast.Call() if self._called(node) in _DICTS:
                return self._dictionary(node)
            case ast.Name(id=name) if name in self._functions:
                return _falls(self._functions[name])
            case ast.Name(id=name) if name in self._names:
                return self._names[name]
            case ast.Attribute(value=ast.Name(id=owner), attr=key) if owner in self._configs:
                return self._known(key)
            case ast.Subscript(value=ast.Name(id=owner), slice=ast.Constant(value=str(key))):
                return self._known(key)
        raise Unread(UNREAD)

    def _known(self, key: str) -> Any:
        if key not in self._found.values:
            raise Unread(f"{key} is not known here")
        return self._found.values[key]


def _shown(statement: ast.stmt) -> str:
    """A statement in short; without the value of an assignment, which may be a key or a password."""
    if isinstance(statement, ast.Assign):
        return f"{ast.unparse(statement.targets[0])[:_LONGEST]} = …"
    return ast.unparse(statement).partition("\n")[0][:_LONGEST]


def _falls(function: ast.FunctionDef) -> Falls:
    """Read a rate's falls off ``0.1 ** len([m for m in [8, 14] if m - 1 <= epoch])``; raises `Unread`."""
    for node in ast.walk(function):
        match node:
            case ast.BinOp(
                left=ast.Constant(value=float(gamma)),
                op=ast.Pow(),
                right=ast.Call(func=ast.Name(id="len"), args=[ast.ListComp(generators=[falls])]),
            ):
                return Falls(_epochs(falls), gamma)
    raise Unread("a function of its own is not run: give --set schedule and milestones")


def _epochs(falls: ast.comprehension) -> list[int]:
    """The numbers of ``for m in [8, 14] if m - 1 <= epoch``, less what is taken from each."""
    match falls:
        case ast.comprehension(iter=ast.List(elts=marks), ifs=[ast.Compare(left=left, ops=[ast.LtE()])]):
            less = 0
            match left:
                case ast.BinOp(left=ast.Name(), op=ast.Sub(), right=ast.Constant(value=int(less))):
                    pass
                case ast.Name():
                    pass
                case _:
                    raise Unread(UNREAD)
            numbers = [mark.value for mark in marks if isinstance(mark, ast.Constant)]
            return [number - less for number in numbers if isinstance(number, int)]
    raise Unread(UNREAD)
