"""The header of a model file, read without its weights: what it says, and what it may not say."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from arcterm.errors import DataError
from arcterm.formats import modelfile
from arcterm.formats.modelfile import ModelFacts, SetScore

FACTS = ModelFacts(
    backbone="y1",
    options={"embedding_size": 128, "output": "GDC", "dropout": 0.5, "se": False},
    embedding_size=128,
    input_size=(112, 96),
    mean=127.0,
    scale=1 / 127.5,
    classes=7,
    source="run/step-0000000010",
    step=10,
    data="folder faces",
    recipe={"loss": "arcface", "milestones": [1, 2], "lr": 0.1},
    scores=[SetScore(set="lfw", pairs=6000, accuracy=0.99, std=0.01, threshold=1.2)],
)


def write(path: Path, text: bytes, length: int | None = None, tail: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + tail)
    return path


def test_what_is_written_is_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": np.ones(3, np.float32)}, path, metadata=modelfile.metadata(FACTS))
    assert modelfile.read_facts(path) == FACTS


def test_another_programs_file_has_no_facts(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"a": np.ones(3, np.float32)}, path, metadata=metadata)
        assert modelfile.read_facts(path) is None


def test_a_later_field_is_passed_over_and_a_later_version_is_not(tmp_path: Path) -> None:
    card = msgspec.to_builtins(FACTS)
    path = tmp_path / "x.safetensors"
    assert modelfile.facts_in(path, {"arcterm": json.dumps({**card, "colour": "red"})}) == FACTS
    with pytest.raises(DataError, match=r"x\.safetensors was written by a newer arcterm"):
        modelfile.facts_in(path, {"arcterm": json.dumps({**card, "format_version": 2})})


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": 3},
        {"backbone": None},
        {"embedding_size": 0},
        {"embedding_size": 1.5},
        {"input_size": [0, 112]},
        {"input_size": [112, 112, 3]},
        {"scale": 0},
        {"scale": -0.01},
        {"mean": "127.5"},
        {"classes": -1},
        {"step": -1},
        {"options": {"a": [1]}},
        {"options": []},
        {"scores": [{"set": "lfw"}]},
        {"recipe": 3},
    ],
    ids=str,
)
def test_a_card_that_can_not_be(tmp_path: Path, changes: dict[str, Any]) -> None:
    text = json.dumps({**msgspec.to_builtins(FACTS), **changes})
    with pytest.raises(DataError, match=r"x\.safetensors: its model card is damaged"):
        modelfile.facts_in(tmp_path / "x.safetensors", {"arcterm": text})


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"backbone": "tiny"}', "[" * 100_000, "1e999"])
def test_a_card_that_is_none(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "x.safetensors", json.dumps({"__metadata__": {"arcterm": text}}).encode())
    with pytest.raises(DataError, match=r"x\.safetensors: its model card is damaged"):
        modelfile.read_facts(path)


@pytest.mark.parametrize(
    ("text", "length", "said"),
    [
        (b"", None, "is not JSON"),
        (b"{}", 3, "a header of 3 bytes in a file of 10"),
        (b"{}", 1 << 63, "byte 0"),
        (b"{}", 100_000_001, "byte 0"),
        (b"{", None, "is not JSON"),
        (b"\xff\xfe", None, "is not JSON"),
        (b"[" * 200_000, None, "is not JSON"),
        (b'{"a":' * 200_000, None, "is not JSON"),
        (b"9" * 6000, None, "is not JSON"),
        (b"[]", None, "is no table"),
        (b"null", None, "is no table"),
        (b'{"__metadata__": 3}', None, "no table of texts"),
        (b'{"__metadata__": {"a": 3}}', None, "no table of texts"),
    ],
)
def test_a_header_that_lies(tmp_path: Path, text: bytes, length: int | None, said: str) -> None:
    path = write(tmp_path / "x.safetensors", text, length)
    with pytest.raises(DataError, match=said) as raised:
        modelfile.read_facts(path)
    assert str(path) in raised.value.message


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"1234")
    for name, said in (("none", "No such file"), (".", "Is a directory"), ("short", "in a file of 4")):
        with pytest.raises(DataError, match=said):
            modelfile.read_facts(tmp_path / name)


def test_only_the_header_is_read(tmp_path: Path) -> None:
    """A claim of 100 MB takes no memory where the file is short, nor do weights."""
    short = write(tmp_path / "short.safetensors", b"{}", 100_000_000)
    large = tmp_path / "large.safetensors"
    save_file({"a": np.zeros(5_000_000, np.float32)}, large, metadata=modelfile.metadata(FACTS))
    tracemalloc.start()
    with pytest.raises(DataError):
        modelfile.read_facts(short)
    assert modelfile.read_facts(large) == FACTS
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
