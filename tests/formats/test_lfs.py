"""A Git LFS pointer in the place of any file is called one, with those beside it, and not a damaged file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from arcterm.data.make.archives import unpack
from arcterm.errors import DataError
from arcterm.formats import modelfile
from arcterm.formats.images import decode, read_file
from arcterm.formats.lists import read_list
from arcterm.formats.mxnet import params, symbol
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.formats.pairs.pairlists import read_pair_list
from arcterm.formats.recordio.checksums import read_checksums
from arcterm.formats.recordio.facepack import FacePack, read_property
from arcterm.formats.recordio.recordindex import read_index

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def torch_file(path: Path) -> object:
    from arcterm.export import torchfile

    return torchfile.read(path)


READERS: dict[str, Callable[[Path], object]] = {
    "train.rec": lambda path: FacePack(path.parent),
    "train.idx": lambda path: read_index(path, 100),
    "property": read_property,
    "train.crc": lambda path: read_checksums(path.parent),
    "lfw.bin": read_pairs,
    "1.jpg": read_file,
    "train.lst": read_list,
    "pairs.txt": read_pair_list,
    "model-0000.params": params.read,
    "model-symbol.json": symbol.read,
    "model.safetensors": modelfile.read_facts,
    "backbone.pt": torch_file,
    "weights.safetensors": torch_file,
    "people.zip": lambda path: unpack(path, path.parent / "out", lambda done, total: None),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pointer_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(
        DataError, match=f"{name} is a Git LFS pointer, not the (file|image) itself"
    ) as caught:
        READERS[name](tmp_path / name)
    assert "git lfs pull" in caught.value.hint


def test_those_beside_it_are_named_at_once(tmp_path: Path) -> None:
    for name in ("train.rec", "train.idx", "lfw.bin", *(f"set{n:02d}.bin" for n in range(20))):
        (tmp_path / name).write_bytes(POINTER)
    (tmp_path / "property").write_text("2,112,112")
    with pytest.raises(DataError, match=r"so are lfw.bin, .*set08.bin and 12 more beside it") as caught:
        FacePack(tmp_path)
    assert "property" not in caught.value.message


def test_a_pointer_that_was_packed_is_named() -> None:
    with pytest.raises(DataError, match="key 3: instead of an image there is a Git LFS pointer"):
        decode(POINTER, size=None, source="key 3")
