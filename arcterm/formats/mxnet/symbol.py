"""MXNet's ``-symbol.json``: a network as a list of nodes, each after the nodes that it takes its inputs from.

``nodes`` have ``op`` ("null" is a variable), ``name``, ``inputs`` (node, which of its outputs, …) and
attributes, all text, under ``attrs`` (before 1.0 ``attr``, before 0.9 ``param``). An attribute that isn't
given has the op's default. ``heads`` are the outputs of the whole. Source: MXNet's symbol files and
``src/nnvm/legacy_json_util.cc``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.mxnet import operators
from arcterm.formats.mxnet.operators import Value

_MAX_BYTES, _MAX_NODES = 32 << 20, 200_000  # the largest networks of 2018 have some ten thousand nodes

_WEIGHTED = {
    "Convolution": ("conv", ("weight", "bias")),
    "FullyConnected": ("fc", ("weight", "bias")),
    "BatchNorm": ("bn", ("gamma", "beta", "moving_mean", "moving_var")),
    "LeakyReLU": ("prelu", ("gamma",)),
}
_LOSSES = {"BlockGrad", "MakeLoss", "SoftmaxOutput", "SoftmaxActivation", "softmax", "L2Normalization"}
_CHANGES_NOTHING = {"_copy", "Cast"}
_SHIFTS = _CHANGES_NOTHING | {"_plus_scalar", "_minus_scalar", "_mul_scalar", "_div_scalar"}


@dataclass(frozen=True)
class Node:
    """An operation, or with op "null" a variable; `inputs` are numbers of earlier nodes.

    `attrs` are Python values: the op's defaults, then what the file says.
    """

    index: int
    op: str
    name: str
    attrs: dict[str, Value]
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class ArrayNode:
    """A node with arrays: `kind` is conv, fc, bn, prelu, or the op's name; `arrays` maps roles to names.

    Roles are weight and bias; gamma, beta, moving_mean and moving_var; of other ops input1, input2, ….
    """

    kind: str
    name: str
    arrays: dict[str, str]
    attrs: dict[str, Value]


@dataclass(frozen=True)
class Symbol:
    """A network's nodes, and the numbers of those whose outputs are its own."""

    path: Path
    nodes: tuple[Node, ...]
    heads: tuple[int, ...]

    def in_order(self, output: str | None = None) -> list[Node]:
        """The nodes that `output` needs, each once and after its inputs, these from left to right.

        `output` is as in MXNet, such as ``fc1_output``; the default is the embedding. Raises `DataError` if
        there is no such output.
        """
        order: list[Node] = []
        seen: set[int] = set()
        stack = [(self._find_output(output), False)]
        while stack:
            number, inputs_done = stack.pop()
            if inputs_done:
                order.append(self.nodes[number])
            elif number not in seen:
                seen.add(number)
                stack.append((number, True))
                stack += [(source, False) for source in reversed(self.nodes[number].inputs)]
        return order

    def layers(self, output: str | None = None) -> list[ArrayNode]:
        """The nodes with arrays that `output` needs, in order of use; raises `DataError`."""
        found = (self._array_node(node) for node in self.in_order(output))
        return [layer for layer in found if layer.arrays]

    def preprocess(self, data: str = "data") -> tuple[float, float] | None:
        """Mean and scale that the network itself applies to its input first, as ``(image - mean) * scale``.

        None if it does not begin with adding or multiplying numbers.
        """
        now = next((node.index for node in self.nodes if node.op == "null" and node.name == data), None)
        factor, offset, found = 1.0, 0.0, False
        while now is not None:
            users = self._users.get(now, [])
            if len(users) != 1 or users[0].op not in _SHIFTS:
                break
            now, op, scalar = users[0].index, users[0].op, users[0].attrs.get("scalar")
            if op not in _CHANGES_NOTHING and isinstance(scalar, float):
                found = True
                factor, offset = _apply_shift(op, scalar, factor, offset)
        if not (found and factor and math.isfinite(factor) and math.isfinite(offset / factor)):
            return None
        return -offset / factor, factor

    @cached_property
    def _users(self) -> dict[int, list[Node]]:
        """By a node's number, the nodes that take its output."""
        users: dict[int, list[Node]] = {}
        for node in self.nodes:
            for source in dict.fromkeys(node.inputs):
                users.setdefault(source, []).append(node)
        return users

    def _find_output(self, output: str | None) -> int:
        name = output or "fc1_output"
        for node in reversed(self.nodes):
            if node.op != "null" and f"{node.name}_output" == name.rstrip("0123456789"):
                return node.index if output else self._activation_of(node.index)
        if output is None and self.heads:
            return self._strip_loss(self.heads[0])
        raise DataError(f"{self.path} has no output {name!r}", f"it ends in {self._output_names()}")

    def _activation_of(self, number: int) -> int:
        """The activation that is the only user of a node, else the node: head D ends in one, after fc1."""
        users = self._users.get(number, [])
        return users[0].index if len(users) == 1 and users[0].op in ("LeakyReLU", "Activation") else number

    def _strip_loss(self, number: int) -> int:
        """The node a head is computed from, before losses, class weights and normalising for them."""
        while self.nodes[number].inputs:
            node = self.nodes[number]
            first = node.inputs[0]
            scaled = node.op == "_mul_scalar" and self.nodes[first].op == "L2Normalization"
            classifies = node.op == "FullyConnected" and node.name.startswith("fc7")
            if not (node.op in _LOSSES or scaled or classifies):
                break
            number = first
        return number

    def _output_names(self) -> str:
        return ", ".join(f"{self.nodes[head].name}_output" for head in self.heads[:8])

    def _array_node(self, node: Node) -> ArrayNode:
        kind, roles = _WEIGHTED.get(node.op, (node.op, ()))
        stored = {n: self.nodes[source] for n, source in enumerate(node.inputs[1:], 1)}
        if not roles:
            names = {f"input{n}": each.name for n, each in stored.items() if each.op == "null"}
            return ArrayNode(kind, node.name, names, node.attrs)
        if node.attrs.get("no_bias") or node.attrs.get("act_type", "prelu") != "prelu":
            roles = roles[:-1]
        if kind == "bn" and len(stored) == 2:  # before 0.9 the statistics weren't nodes
            implied = {role: f"{node.name}_{role}" for role in roles[2:]}
            return ArrayNode(
                kind, node.name, self._names_by_role(node, roles[:2], stored) | implied, node.attrs
            )
        return ArrayNode(kind, node.name, self._names_by_role(node, roles, stored), node.attrs)

    def _names_by_role(self, node: Node, roles: tuple[str, ...], stored: dict[int, Node]) -> dict[str, str]:
        """Names of a node's arrays, its inputs after the first, by role."""
        if len(stored) != len(roles):
            self._refuse(node, f"has {len(stored)} inputs after its first, not {len(roles)}")
        computed = next((each for each in stored.values() if each.op != "null"), None)
        if computed:
            self._refuse(node, f"takes its weights from {computed.op} {computed.name!r}, not from the file")
        return {role: each.name for role, each in zip(roles, stored.values(), strict=True)}

    def _refuse(self, node: Node, why: str) -> NoReturn:
        raise DataError(f"{self.path}: {node.op} {node.name[:80]!r} {why}", "this network can't be imported")


def _apply_shift(op: str, scalar: float, factor: float, offset: float) -> tuple[float, float]:
    """(factor, offset) after applying an operation with a number to ``factor * image + offset``."""
    match op:
        case "_plus_scalar":
            return factor, offset + scalar
        case "_minus_scalar":
            return factor, offset - scalar
        case "_div_scalar":
            return (factor / scalar, offset / scalar) if scalar else (0.0, 0.0)
        case _:
            return factor * scalar, offset * scalar


_Reference = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=2)]


class _FileNode(msgspec.Struct):
    op: str
    name: str
    inputs: list[_Reference] = []
    attrs: dict[str, str] = {}
    attr: dict[str, str] = {}
    param: dict[str, str] = {}


class _File(msgspec.Struct):
    nodes: Annotated[list[_FileNode], msgspec.Meta(max_length=_MAX_NODES)]
    heads: list[_Reference] = []


def read(path: Path) -> Symbol:
    """The symbol in a file; raises `DataError` saying where it is wrong. Its weights: `params.read`."""
    try:
        with path.open("rb") as file:
            data = file.read(min(path.stat().st_size, _MAX_BYTES) + 1)
        if len(data) > _MAX_BYTES:
            raise _symbol_error(path, f"is longer than {_MAX_BYTES} bytes")
        refuse_pointer(data, path)
        found = msgspec.json.decode(data, type=_File)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the path") from None
    except RecursionError:
        raise _symbol_error(path, "is nested too deep") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _symbol_error(path, str(error)) from None
    nodes = tuple(_make_node(path, index, each) for index, each in enumerate(found.nodes))
    heads = tuple(head[0] for head in found.heads)
    if max(heads, default=-1) >= len(nodes):
        raise _symbol_error(path, f"has output {max(heads)} of {len(nodes)} nodes")
    return Symbol(path, nodes, heads)


def _make_node(path: Path, index: int, node: _FileNode) -> Node:
    where = f"node {index} {node.name[:80]!r}"
    if not (node.name.isprintable() and node.op.isprintable()):
        raise _symbol_error(path, f"has control characters in {where}")
    inputs = tuple(reference[0] for reference in node.inputs)
    if max(inputs, default=-1) >= index:
        raise _symbol_error(path, f"gives {where} input {max(inputs)}, which isn't an earlier node")
    op = operators.canonical(node.op)
    try:
        attrs = operators.attributes(op, node.attr | node.param | node.attrs)
    except ValueError as error:
        raise _symbol_error(path, f"has an attribute at {where} that can't be: {error}") from None
    return Node(index, op, node.name, attrs, inputs)


def _symbol_error(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: the symbol {what}", "it is damaged, or is no -symbol.json of MXNet: copy it again"
    )
