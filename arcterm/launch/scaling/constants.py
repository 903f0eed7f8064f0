"""What was measured on a machine for a plan, and the TOML file in which it goes to another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from arcterm import files, tomlfile
from arcterm.errors import ConfigError

MEASURED = "measured"
_WRITTEN = "`arcterm plan … --measure -o FILE` writes them on the machine that they are of"


class HeadPoint(msgspec.Struct, frozen=True):
    """Seconds of the head with so many class `rows` against a `batch` of embeddings, and of their update."""

    rows: int
    batch: int
    seconds: float
    update: float


class Collective(msgspec.Struct, frozen=True):
    """A collective of all ranks; `bytes` are those that it reduces, or of the whole that it gathers."""

    operation: str
    bytes: int


class Traffic(msgspec.Struct, frozen=True):
    """The collectives of the head in a pass, and the bytes of the backbone's gradients of a step."""

    exchanges: list[Collective] = []
    gradients: int = 0


class RankPace(msgspec.Struct, frozen=True):
    """Medians of `steps`: seconds of a step's parts with `images` of a rank, and of the head by its size."""

    steps: int
    images: int
    forward: float
    backward: float
    update: float
    head: list[HeadPoint]


class Machine(msgspec.Struct, frozen=True):
    """The machine of the constants: `memory` bytes are a GPU's, or the host's where it has none."""

    name: str
    processor: str
    cores: int
    memory: int
    gpus: int = 0
    gpu: str = ""
    torch: str = ""
    day: str = ""


class Network(msgspec.Struct, frozen=True):
    """The connection of a host to the others: bytes per second in each direction, seconds of a message."""

    bytes_per_second: float
    latency: float
    source: str = ""


class Storage(msgspec.Struct, frozen=True):
    """Bytes per second: one rank writing `alone`, each of those of a host at once, and copies in memory.

    `total` is what a storage takes from all hosts at once. `start` are seconds of a checkpoint of any size.
    """

    alone: float
    together: float
    copy: float
    total: float | None = None
    start: float = 0.0
    source: str = MEASURED


class Decoding(msgspec.Struct, frozen=True):
    """Images per second that a rank's loader makes while the others do too, and CPU seconds of an image."""

    rate: float
    cpu: float
    dataset: str = ""
    source: str = MEASURED


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan's times follow from; what is None is not known.

    `training` are the settings that `pace` was measured with, while `ranks` of a host worked at once; `alone`
    is that of one rank with as many threads. `exchange` has (bytes, seconds) by kind of collective among
    `exchange_ranks` of a host.
    """

    machine: Machine
    training: dict[str, Any] = {}
    ranks: int = 0
    source: str = MEASURED
    pace: RankPace | None = None
    alone: RankPace | None = None
    exchange: dict[str, list[tuple[int, float]]] = {}
    exchange_ranks: int = 0
    loader: Decoding | None = None
    storage: Storage | None = None
    network: Network | None = None

    @property
    def digest(self) -> str:
        """Twelve characters by which two plans show that they are of the same constants."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]


def read(path: Path) -> Constants:
    """Read a file that `arcterm plan --measure -o` wrote; raises `ConfigError` if it is none."""
    found = tomlfile.read(path, _WRITTEN)
    try:
        return msgspec.convert(found, Constants)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path} has no constants of a plan: {error}", _WRITTEN) from None


def write(path: Path, constants: Constants) -> None:
    """Write a file for `read`; raises `ConfigError` if that can't be done."""
    try:
        files.write_bytes(path, toml(constants).encode())
    except OSError as error:
        raise ConfigError(f"can't write {path}: {error.strerror or error}", "name another file") from None


def toml(constants: Constants) -> str:
    """Write `constants` as TOML."""
    built = msgspec.to_builtins(constants)
    plain = {key: value for key, value in built.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in built.items() if isinstance(value, dict)}
    head = "# Constants of `arcterm plan`: seconds, bytes, and bytes or images per second.\n"
    return head + _lines(plain) + "".join(f"\n[{name}]\n{_lines(table)}" for name, table in tables.items())


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_written(value)}\n" for key, value in table.items() if value is not None)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_written(one)}" for key, one in value.items() if one is not None)
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for the one control character that JSON leaves as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return f"{value:.6g}" if "." in f"{value:.6g}" or "e" in f"{value:.6g}" else f"{value:.6g}.0"
    return json.dumps(value)
