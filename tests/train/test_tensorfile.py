"""What is written a piece at a time is what the safetensors library writes, to the byte."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from arcterm.train.checkpoint import tensorfile

MANY = {
    "conv.weight": torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last),
    "steps": torch.tensor(7),
    "half": torch.randn(5).bfloat16(),
    "float16": torch.randn(3).half(),
    "empty": torch.empty(0, 512),
    "double": torch.randn(3, dtype=torch.float64),
    "mask": torch.tensor([True, False, True]),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "transposed": torch.randn(6, 5).t(),
    'größe "x"\\y\n': torch.randn(2),
    "a": torch.arange(7, dtype=torch.int32),
    "b": torch.arange(7, dtype=torch.int16),
    "c": torch.arange(7, dtype=torch.int8),
}


@pytest.mark.parametrize("tensors", [MANY, {"only": torch.randn(3)}, {}], ids=["many", "one", "none"])
@pytest.mark.parametrize("piece", [32 << 20, 7])
def test_bytes_and_digest_are_the_librarys(tmp_path, monkeypatch, tensors, piece):
    monkeypatch.setattr(tensorfile, "_PIECE", piece)
    digest = tensorfile.write(tmp_path / "ours", tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs")
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("ours", "theirs"))
    assert ours == theirs
    assert (digest.size, digest.sha256) == (len(theirs), hashlib.sha256(theirs).hexdigest())


def test_the_library_reads_it(tmp_path):
    tensorfile.write(tmp_path / "ours", MANY)
    read = load_file(tmp_path / "ours")
    assert read.keys() == MANY.keys()
    for name, tensor in MANY.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_a_type_without_a_name_is_named(tmp_path):
    with pytest.raises(KeyError, match=r"odd is torch\.complex64"):
        tensorfile.write(tmp_path / "ours", {"odd": torch.zeros(2, dtype=torch.complex64)})
