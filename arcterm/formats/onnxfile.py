"""ONNX files as far as one must know them before a runtime gets them: inputs, outputs, outside files.

Field numbers are those of ``onnx.proto`` (IR version 3 to 13).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.modelfile import ModelFacts, facts_in
from arcterm.formats.protobuf import field_bytes, fields, spans, varints
from arcterm.text import clean, first_of

TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
"""Element types by number, those that an image or an embedding may have."""
_LARGEST = (1 << 31) - 1  # a protobuf's
_DEEPEST = 16  # graphs within graphs
_FIRST = 8  # nodes in which InsightFace looks for preprocessing
_AGAIN = "it was cut short or changed: copy it again"

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, element type, and shape, each size a number or a name; None if open."""

    name: str
    type: str
    shape: Shape | None

    def __str__(self) -> str:
        sizes = "of any shape" if self.shape is None else f"({', '.join(str(n) or '?' for n in self.shape)})"
        return f"{clean(self.name)!r} {sizes}"


@dataclass(frozen=True)
class Node:
    """An operator with the names of what it takes and gives."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]


@dataclass
class OnnxFile:
    """A file's graph, seen from outside. `parameters` counts the numbers of its stored arrays."""

    path: Path
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    external: dict[str, int] = field(default_factory=dict)
    """Other files that hold arrays, by their stated place, and the last byte needed of each."""
    stored: set[str] = field(default_factory=set)
    parameters: int = 0

    @property
    def facts(self) -> ModelFacts | None:
        """The card of a file of ours; None if another program wrote it. Raises `DataError`."""
        return facts_in(self.path, self.metadata)

    @property
    def normalises(self) -> bool:
        """Whether its first nodes subtract from the image and multiply it, by InsightFace's rule or ours.

        InsightFace looks for nodes of these names among the first eight; ours follows the image to the first
        operator of another kind.
        """
        first = self.nodes[:_FIRST]
        names = [node.name for node in first]
        if any(n.startswith(("Sub", "_minus")) for n in names) and any(
            n.startswith(("Mul", "_mul")) for n in names
        ):
            return True
        ops = set(self._from_image())
        return bool(ops & {"Sub", "Add"} and ops & {"Mul", "Div"}) or "BatchNormalization" in ops

    def _from_image(self) -> Iterator[str]:
        plain = {"Sub", "Add", "Mul", "Div", "BatchNormalization", "Cast", "Transpose", "Identity"}
        at = self.inputs[0].name if self.inputs else ""
        for node in self.nodes[: 2 * _FIRST]:
            if at in node.inputs:
                if node.op not in plain or not node.outputs:
                    return
                yield node.op
                at = node.outputs[0]


def is_onnx(head: bytes | memoryview) -> bool:
    """Whether a file that begins so is of ONNX: its version first, then another field of a model."""
    start = bytes(head[:4])
    return len(start) == 4 and start[0] == 0x08 and 1 <= start[1] < 64 and start[2] in _SECOND


_SECOND = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72}  # fields 2 to 8 and 14, of their wire types


def read(path: Path) -> OnnxFile:
    """Read a file's outside; raises `DataError` for what is no ONNX file or can't be one."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            refuse_pointer(file.read(64), path)
            if size > _LARGEST:
                raise DataError(
                    f"{path} is larger than 2 GiB, which no ONNX file can be",
                    "export it with its weights in a file beside it",
                )
            if not size:
                raise DataError(f"{path} is empty", "copy it again")
            # never closed by hand: an error's traceback may still hold parts of it
            return _model(OnnxFile(path), memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the name") from None
    except (ValueError, TypeError) as error:  # TypeError: a number where a message should be
        raise DataError(f"{path} is no whole ONNX file: {error}"[:400], _AGAIN) from None


def _model(found: OnnxFile, message: memoryview) -> OnnxFile:
    if not is_onnx(message[:8]):
        raise ValueError("it does not begin with a version")
    graphs = 0
    for number, value in fields(message):
        if number == 7:
            graphs += 1
            _graph(found, _message(value), 0)
        elif number == 14:
            entry = _texts(_message(value), 1, 2)
            found.metadata[entry[1]] = entry[2]
        elif number == 20:
            for part, graph in fields(_message(value)):
                if part in (1, 2):
                    _graph(found, _message(graph), 1)
        elif number == 25:
            _inside(found, _message(value), 7, 0)
    if graphs != 1:
        raise ValueError(f"it has {graphs} graphs")
    found.inputs = [each for each in found.inputs if each.name not in found.stored]
    return found


def _graph(found: OnnxFile, message: memoryview, depth: int) -> None:
    for number, value in fields(message):
        if number == 1:
            _node(found, _message(value), depth)
        elif number == 5:
            _tensor(found, _message(value))
        elif number == 15:
            for part, array in fields(_message(value)):
                if part in (1, 2):
                    _tensor(found, _message(array))
        elif number in (11, 12) and depth == 0:
            (found.inputs if number == 11 else found.outputs).append(_value_info(_message(value)))


def _inside(found: OnnxFile, message: memoryview, wanted: int, depth: int) -> None:
    """Look at the nodes of a function."""
    for number, value in fields(message):
        if number == wanted:
            _node(found, _message(value), depth + 1)


def _node(found: OnnxFile, message: memoryview, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("graphs lie too deep within each other")
    inputs, outputs, words = [], [], {3: "", 4: ""}
    for number, value in fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number in (3, 4):
            words[number] = _text(value)
        elif number == 5:
            _attribute(found, _message(value), depth)
    if depth == 0 and len(found.nodes) < 2 * _FIRST:
        found.nodes.append(Node(words[4], words[3], inputs, outputs))


def _attribute(found: OnnxFile, message: memoryview, depth: int) -> None:
    for number, value in fields(message):
        if number in (5, 10):
            _tensor(found, _message(value))
        elif number in (6, 11):
            _graph(found, _message(value), depth + 1)
        elif number in (22, 23):
            for part, array in fields(_message(value)):
                if part in (1, 2):
                    _tensor(found, _message(array))


def _tensor(found: OnnxFile, message: memoryview) -> None:
    sizes: list[int] = []
    place: dict[str, str] = {}
    for number, value in fields(message):
        if number == 1:
            sizes += varints(value)
        elif number == 8:
            found.stored.add(_text(value))
        elif number == 13:
            entry = _texts(_message(value), 1, 2)
            place[entry[1]] = entry[2]
    found.parameters += math.prod(sizes)
    if "location" in place:
        last = int(place.get("offset") or 0) + int(place.get("length") or 0)
        found.external[place["location"]] = max(last, found.external.get(place["location"], 0))


def _value_info(message: memoryview) -> Tensor:
    name, kind, shape = "", "", None
    for number, value in fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for form, inner in fields(_message(value)):
                if form != 1:
                    continue
                for part, detail in fields(_message(inner)):
                    if part == 1 and isinstance(detail, int):
                        kind = TYPES.get(detail, f"type {detail}")
                    elif part == 2:
                        shape = tuple(_size(_message(size)) for n, size in fields(_message(detail)) if n == 1)
    return Tensor(name, kind, shape)


def _size(message: memoryview) -> int | str:
    """Return a size, its name, or nothing for one that is open."""
    found: int | str = ""
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            found = value if 0 < value < 1 << 40 else ""
        elif number == 2:
            found = _text(value)
    return found


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number where a message should be")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode()


def _texts(message: memoryview, *numbers: int) -> dict[int, str]:
    return dict.fromkeys(numbers, "") | {n: _text(v) for n, v in fields(message) if n in numbers}


def write_with_metadata(found: OnnxFile, target: Path, key: str, value: str) -> None:
    """Copy a file that was read to `target`, with another text for `key` in its metadata."""
    entry = field_bytes(1, key.encode()) + field_bytes(2, value.encode())
    message = memoryview(found.path.read_bytes())
    with target.open("wb") as file:
        for (number, held), start, stop in spans(message):
            if number != 14 or _texts(_message(held), 1, 2)[1] != key:
                file.write(message[start:stop])
        file.write(field_bytes(14, entry))


def check_external(found: OnnxFile) -> None:
    """Raise `DataError` unless every other file that holds arrays lies beside the model, and is whole.

    Its place is relative, goes up nowhere, and no link leads out of the folder.
    """
    folder = found.path.resolve().parent
    missing = []
    for place, last in sorted(found.external.items()):
        named = clean(place)[:200]
        size = _size_beside(folder, place)
        if size is None:
            raise DataError(
                f"{found.path} wants its weights from {named}, outside of its own folder",
                "export it again with its weights inside, or in a file beside it",
            )
        if size < 0:
            missing.append(named)
        elif size < last:
            raise DataError(
                f"{found.path} needs {last:,} bytes of {named}, which has {size:,}",
                f"copy {named} again",
            )
    if missing:
        raise DataError(
            f"{found.path} has its weights in {first_of(missing, 3)}, not in {folder}",
            "copy that beside it, under the same name",
        )


def _size_beside(folder: Path, place: str) -> int | None:
    """Bytes of the file at `place` in `folder`; -1 if it is none, None for a place outside."""
    inner = PurePosixPath(place)
    if (
        inner.is_absolute()
        or place.startswith("*")  # onnxruntime's mark of an address in memory
        or ".." in inner.parts
        or "\\" in place
    ):
        return None
    try:
        beside = (folder / inner).resolve()
        if not beside.is_relative_to(folder):
            return None
        return beside.stat().st_size if beside.is_file() else -1
    except (OSError, ValueError):  # a name too long for a file, or with a zero in it
        return -1
