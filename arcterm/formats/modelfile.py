"""Model files: safetensors with metadata that describes the weights and the images they take.

The header is read here without torch; the weights are read where torch is.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from arcterm_registry import PerPlane, Preprocess

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.runs.events import Rate

FORMAT_VERSION = 1
HEAD = "head.weight"
"""Key of the class weights (C, D), in a file that has them."""
KEY = "arcterm"
"""Key of the facts in a file's metadata."""
_MAX_HEADER = 100_000_000  # the limit of the safetensors library

Value = bool | int | float | str
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Size = Annotated[int, msgspec.Meta(ge=1)]


class SetScore(msgspec.Struct, frozen=True, kw_only=True):
    """A model's scores on one verification set; thresholds are squared L2 distances, 0..4.

    `threshold` is that of the best accuracy, `far_threshold` that of a false-accept rate of 1e-3, at which
    `tar` is the true-accept rate. All are None where they would mean nothing; `withheld` is the reason.
    These are of ten folds, `rates` of all pairs.
    """

    set: str
    pairs: int
    accuracy: float | None = None
    std: float | None = None
    threshold: float | None = None
    tar: float | None = None
    far_threshold: float | None = None
    withheld: str = ""
    rates: list[Rate] = []


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata of a model file.

    An image is RGB, uint8, `input_size` (height, width), and enters as ``(image - mean) * scale``, its planes
    in the order of `channels`; `mean` and `scale` are one number, or three: red, green, blue. `input_basis`
    says what that is known by, where it may be wrong. `classes` is the number of class weights kept, 0 if
    none. `recipe` holds the settings of the run it comes from.
    """

    backbone: str
    options: dict[str, Value] = {}
    embedding_size: _Size
    input_size: tuple[_Size, _Size] = (112, 112)
    mean: float | tuple[float, float, float] = 127.5
    scale: float | tuple[float, float, float] = 1 / 128
    channels: Literal["rgb", "bgr"] = "rgb"
    input_basis: str = ""
    classes: _Count = 0
    source: str = ""
    step: _Count = 0
    data: str = ""
    recipe: dict[str, Any] = {}
    scores: list[SetScore] = []
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        # no constraint of the types: msgspec 0.22 crashes at one within a tuple within a union
        if not all(scale > 0 for _, scale in self.preprocess.planes):
            raise ValueError("scale is above 0")

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess(mean=self.mean, scale=self.scale, channels=self.channels)

    @property
    def input_words(self) -> str:
        """``RGB 112×112, (image - 127.5) / 128``, and by what that is known if it may be wrong."""
        height, width = self.input_size
        words = f"{self.channels.upper()} {width}×{height}, (image - {self.mean_words}) / {self.std_words}"
        return words + (f" ({self.input_basis})" if self.input_basis else "")

    @property
    def mean_words(self) -> str:
        """``127.5``, or the numbers of red, green and blue in brackets."""
        return _words(self.mean, [mean for mean, _ in self.preprocess.planes])

    @property
    def std_words(self) -> str:
        """1 / scale, as `mean_words`."""
        return _words(self.scale, [1 / scale for _, scale in self.preprocess.planes])


def _words(value: PerPlane, planes: list[float]) -> str:
    words = [f"{number:g}" for number in planes]
    return f"({', '.join(words)})" if isinstance(value, tuple) else words[0]


def encode(facts: ModelFacts) -> str:
    """Write `facts` as JSON.

    A program that does not know of `channels` would leave them out, so a BGR model has three numbers each,
    which such a program refuses.
    """
    if facts.channels == "bgr":
        means, scales = zip(*facts.preprocess.planes, strict=True)
        facts = msgspec.structs.replace(facts, mean=means, scale=scales)
    return msgspec.json.encode(facts).decode()


def metadata(facts: ModelFacts) -> dict[str, str]:
    """Return `facts` as the metadata of a safetensors file."""
    return {"format": "pt", KEY: encode(facts)}


def facts_in(path: Path, metadata: dict[str, str]) -> ModelFacts | None:
    """The facts in a file's metadata, None if another program wrote it; raises `DataError`."""
    if KEY not in metadata:
        return None
    try:
        facts = msgspec.json.decode(metadata[KEY], type=ModelFacts)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DataError(f"{path}: its model card is damaged: {error}", "export the model again") from None
    if facts.format_version > FORMAT_VERSION:
        raise DataError(f"{path} was written by a newer arcterm", "update arcterm")
    return facts


def read_facts(path: Path) -> ModelFacts | None:
    """The facts of a model file, None if another program wrote it; only the header is read.

    Raises `DataError` if it is no safetensors file.
    """
    described = _read_header(path).get("__metadata__", {})
    if not isinstance(described, dict) or not all(isinstance(v, str) for v in described.values()):
        raise DataError(f"{path}: its metadata is no table of texts", "export the model again")
    return facts_in(path, described)


def write_with_facts(path: Path, target: Path, facts: ModelFacts) -> None:
    """Copy a model file to `target` with other facts in its header; raises `DataError`."""
    header = _read_header(path)
    header["__metadata__"] = header.get("__metadata__", {}) | metadata(facts)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at a multiple of 8, as the library leaves them
    with path.open("rb") as held, target.open("wb") as file:
        held.seek(8 + int.from_bytes(held.read(8), "little"))
        file.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(held, file, 1 << 20)


def _read_header(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            refuse_pointer(start, path)
            length = int.from_bytes(start[:8], "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER):
                raise DataError(
                    f"{path}: byte 0: a header of {length} bytes in a file of {size}",
                    "it is no safetensors file, or was cut short: copy it again",
                )
            file.seek(8)
            header = json.loads(file.read(length))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the name") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: its header is not JSON", "it is no safetensors file") from None
    if not isinstance(header, dict):
        raise DataError(f"{path}: its header is no table", "it is no safetensors file")
    return header
