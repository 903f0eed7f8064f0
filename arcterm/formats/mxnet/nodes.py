"""An MXNet symbol in the making; `symbol` reads what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_VERSION = 10100  # MXNet 1.1.0, which wrote the files of early 2018


class Nodes:
    """The nodes of a symbol in order; what adds one returns its number."""

    def __init__(self) -> None:
        self._nodes: list[dict[str, Any]] = []

    def variable(self, name: str, shape: tuple[int, ...] = ()) -> int:
        """Add an input or an array; its `shape` is needed where MXNet can't infer it from its use."""
        known = {"attrs": {"__shape__": str(shape)}} if shape else {}
        return self._append({"op": "null", "name": name, **known, "inputs": []})

    def add(self, op: str, name: str, inputs: Sequence[int], **attributes: object) -> int:
        """Add an operation, its attributes as MXNet writes them: ``(3, 3)``, ``True``, ``2e-05``."""
        node: dict[str, Any] = {"op": op, "name": name}
        if attributes:
            node["attrs"] = {key: str(value) for key, value in attributes.items()}
        return self._append(node | {"inputs": [[number, 0, 0] for number in inputs]})

    def encode(self, outputs: Sequence[int]) -> bytes:
        """Return the JSON of the symbol whose outputs are those of these nodes."""
        symbol = {
            "nodes": self._nodes,
            "arg_nodes": [number for number, node in enumerate(self._nodes) if node["op"] == "null"],
            "heads": [[number, 0, 0] for number in outputs],
            "attrs": {"mxnet_version": ["int", _VERSION]},
        }
        return json.dumps(symbol, indent=1).encode()

    def _append(self, node: dict[str, Any]) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1
