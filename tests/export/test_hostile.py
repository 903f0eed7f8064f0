"""Damaged, lying and hostile model files: a typed error that names the file, bounded memory, no code run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
import zipfile

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from arcterm.errors import ArctermError, DataError
from arcterm.export import embedding, model, torchfile
from arcterm.export.model import Model
from arcterm.formats import modelfile

from .conftest import FACTS, picture

pytestmark = pytest.mark.long

SMALL = {"a.weight": torch.arange(12.0).reshape(4, 3), "a.bias": torch.ones(4), "b.weight": torch.ones(2, 4)}


class Call:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def saved(what, path=None):
    """The bytes that torch.save makes."""
    stream = io.BytesIO()
    torch.save(what, stream)
    return stream.getvalue()


def parts(data):
    """The files in an archive of torch, by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(files, compression=zipfile.ZIP_STORED):
    """An archive of `files`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def with_pickle(data):
    """An archive as torch.save makes it whose pickle is `data`."""
    return archived({k: data if k.endswith("data.pkl") else v for k, v in parts(saved(SMALL)).items()})


def refused(tmp_path, data, name="x.pth"):
    """The error for a file of these bytes, which names it."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError) as raised:
        model.open_model({"file": str(path)}, {"backbone": "tiny"})
    assert raised.value.message.startswith(f"{path}")
    return raised.value.message


@pytest.mark.parametrize("function", [os.system, eval, getattr])
@pytest.mark.parametrize("wrap", [lambda data: data, with_pickle], ids=["bare", "archive"])
def test_no_code_is_run(tmp_path, function, wrap):
    canary = tmp_path / "canary"
    arguments = {
        os.system: (f"touch {canary}",),
        eval: (f"open({str(canary)!r}, 'w')",),
        getattr: (canary, "touch"),
    }[function]
    said = refused(tmp_path, wrap(pickle.dumps({"state_dict": Call(function, *arguments)}, protocol=2)))
    assert "is not weights alone" in said or "is damaged" in said
    assert not canary.exists()


def test_what_a_pickle_wants_to_call_is_named(tmp_path):
    said = refused(tmp_path, with_pickle(pickle.dumps(Call(os.system, "true"), protocol=2)))
    assert "is not weights alone" in said
    assert "system" in said


def test_negative_control_the_pickle_does_run_code(tmp_path):
    pickle.loads(pickle.dumps(Call(os.system, f"touch {tmp_path / 'canary'}"), protocol=2))
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ([torch.ones(2)], "holds list, no state dict"),
        (torch.ones(2), "holds Tensor, no state dict"),
        ({"epoch": 3, "arch": "ir_18"}, "holds no tensors"),
        ({"a.weight": torch.zeros(1).expand(10**6, 10**6)}, "'a.weight' is no plain array"),
        ({"a.weight": torch.eye(3).to_sparse()}, "'a.weight' is no plain array"),
        ({"a.weight": torch.zeros(3, dtype=torch.complex64)}, "'a.weight' is no plain array"),
        ({"a.weight": torch.zeros(3, device="meta")}, "'a.weight' is no plain array"),
        ({"head.kernel": torch.zeros(3), "a.weight": torch.ones(2)}, "0% are those of tiny"),
        ({"head.kernel": torch.tensor(1.0), "head.weight": torch.tensor(1.0)}, "have these 0 layers"),
        ({"bn.num_batches_tracked": torch.tensor(3)}, "have these 0 layers"),
        ({"a.weight": torch.tensor(1.0)}, "0% are those of tiny"),
        ({"": torch.ones(3), ".": torch.ones(2, 2)}, "0% are those of tiny"),
        ({"input_layer.0.weight": torch.ones(64, 3, 3, 3)}, "0% are those of tiny"),
        ({"input_layer.0.weight": torch.ones(1), "body.0.res_layer.1.weight": torch.ones(1)}, "0% are"),
        ({f"body.{'9' * 5000}.res_layer.0.weight": torch.ones(64)}, "11% are those of tiny"),
        ({3: torch.ones(2), (1,): torch.ones(2)}, "0% are those of tiny"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore:.*Sparse:UserWarning")
def test_what_is_no_state_dict_of_a_network(tmp_path, what, said):
    assert said in refused(tmp_path, saved(what)).replace("backbone has", "have")


def adaface_cut(key):
    from .upstream import Adaface

    with torch.device("meta"):
        state = Adaface().state_dict()
    state.pop(key)
    return {name: torch.zeros(tensor.shape) for name, tensor in state.items() if tensor.numel() < 100_000}


@pytest.mark.parametrize(
    "key", ["output_layer.4.running_mean", "body.0.res_layer.1.weight", "input_layer.0.weight"]
)
def test_an_adaface_network_that_lacks_a_part(tmp_path, key):
    assert "no known backbone" in refused(tmp_path, saved(adaface_cut(key)))


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("stages.0.1.running_mean", torch.zeros(31)),
        ("stages.0.1.bias", torch.zeros(2, 32)),
        ("stages.0.1.running_var", None),
        ("stages.0.1.running_mean", None),
        ("fc.bias", torch.zeros(1)),
    ],
)
def test_arrays_of_one_layer_that_do_not_go_together(tmp_path, tiny, key, changed):
    """Under names that no backbone has, so that layers are compared in order."""
    state = {f"x{name}": tensor for name, tensor in tiny.network.state_dict().items()}
    whole = tmp_path / "whole.pth"
    torch.save(state, whole)
    assert model.open_model({"file": str(whole)}, {"backbone": "tiny"}).facts.embedding_size == 64
    state.pop(f"x{key}") if changed is None else state.update({f"x{key}": changed})
    assert "tiny" in refused(tmp_path, saved(state))


def test_every_truncation_is_a_data_error(tmp_path):
    data = saved(SMALL)
    path = tmp_path / "x.pth"
    for length in [*range(0, 64), *range(64, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"x\.pth"):
            torchfile.read(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_any_flipped_bits_give_a_result_or_a_data_error(tmp_path, legacy):
    stream = io.BytesIO()
    torch.save({**SMALL, "epoch": 3, "names": ["a", "b"]}, stream, _use_new_zipfile_serialization=not legacy)
    data, path, draw, read = stream.getvalue(), tmp_path / "x.pth", random.Random(7), 0
    for _ in range(250):
        damaged = bytearray(data)
        for _ in range(draw.choice((1, 1, 3))):
            damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            torchfile.read(path)
            read += 1
        except DataError as error:
            assert str(path) in error.message
    assert 0 < read < 250


def declared_larger():
    """An archive whose pickle says that its arrays have 2²⁹ numbers each, 2 GiB, and which has 12."""
    files = parts(saved({"a.weight": torch.zeros(12345)}))
    (name,) = [name for name in files if name.endswith("data.pkl")]
    assert files[name].count(struct.pack("<H", 12345)) == 2
    small, large = b"M" + struct.pack("<H", 12345), b"J" + struct.pack("<i", 1 << 29)
    files[name] = files[name].replace(small, large)
    return archived(files)


def compressed():
    """An archive of 600 MiB of zeros in less than 3 MiB."""
    files = parts(saved({"a.weight": torch.zeros(12345)}))
    (pickled,) = [name for name in files if name.endswith("data.pkl")]
    (values,) = [name for name in files if name.endswith("data/0")]
    count = 150 << 20
    files[pickled] = files[pickled].replace(b"M" + struct.pack("<H", 12345), b"J" + struct.pack("<i", count))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            if name != values:
                archive.writestr(name, data)
        with archive.open(values, "w", force_zip64=True) as file:
            for _ in range(4 * count >> 20):
                file.write(bytes(1 << 20))
    return stream.getvalue()


def header(text, tail=b"", length=None):
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(data) if length is None else length) + data + tail


BOMBS = {
    "memo.pth": lambda: b"\x80\x02" + b"Nr" + struct.pack("<I", 0x3FFFFFFF) + b".",
    "memo-archive.pth": lambda: with_pickle(b"\x80\x02" + b"Nr" + struct.pack("<I", 0x3FFFFFFF) + b"."),
    "text.pth": lambda: with_pickle(b"\x80\x02X" + struct.pack("<I", 0x7FFFFFFF) + b"a."),
    "bytes.pth": lambda: with_pickle(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"a."),
    "frame.pth": lambda: with_pickle(b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"a."),
    "deep.pth": lambda: with_pickle(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."),
    "declared.pth": declared_larger,
    "compressed.pth": compressed,
    "expanded.pth": lambda: saved({"a.weight": torch.zeros(1).expand(10**6, 10**6)}),
    "depth.safetensors": lambda: header(b"[" * 1_000_000),
    "declared.safetensors": lambda: header(
        {"a": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}}, bytes(16)
    ),
}
PEAKS = """
import resource, sys
from arcterm.errors import DataError
from arcterm.export import model
for path in sys.argv[1:]:
    try:
        model.open_model({"file": path}, {"backbone": "tiny"})
    except DataError:
        print(path.rpartition("/")[2], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)
"""


def test_memory_is_bounded_by_the_file(tmp_path):
    """Nothing of a few MiB takes more than the room that reading is given."""
    (tmp_path / "small.pth").write_bytes(saved(SMALL))
    for name, made in BOMBS.items():
        (tmp_path / name).write_bytes(made())
    paths = [str(tmp_path / name) for name in ("small.pth", *BOMBS)]
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, *paths], capture_output=True, text=True, check=False, timeout=300
    )
    peaks = dict(line.split() for line in done.stdout.splitlines())
    assert list(peaks) == ["small.pth", *BOMBS], done.stderr[-2000:]
    assert max(int(peak) for peak in peaks.values()) - int(peaks["small.pth"]) < 600


def test_the_limit_on_memory_is_taken_back(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_AS)
    refused(tmp_path, BOMBS["declared.pth"]())
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"archive/version": b"3\n"},
        {"archive/data.pkl": b""},
        {"../../data.pkl": pickle.dumps({})},
        {"archive/data.pkl": pickle.dumps({"a": 1}), "archive/version": b"99\n"},
        {"archive/data.pkl": pickle.dumps({"a": 1}), "archive/version": b"x"},
    ],
)
def test_archives_that_are_none_of_torch(tmp_path, files):
    refused(tmp_path, archived(files))


def test_other_files_under_these_names(tmp_path):
    for data in (
        b"",
        b"\0" * 100,
        b"hello",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04",
        b"\x80\x02.",
        b"\x80\x05N.",
    ):
        refused(tmp_path, data)
        refused(tmp_path, data, "x.safetensors")
    scripted = tmp_path / "scripted.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), str(scripted))
    assert "PyTorch file" in refused(tmp_path, scripted.read_bytes(), "y.pt")
    with pytest.raises(DataError, match=r"none\.pt can't be read: No such file"):
        model.open_model({"file": str(tmp_path / "none.pt")})


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        header({"a": ONE}, bytes(8), length=1 << 62),
        header({"a": ONE}, bytes(8), length=100_000_000),
        header({"a": ONE}, bytes(8), length=3),
        header({"a": ONE}, bytes(4)),
        header({"a": ONE}, bytes(12)),
        header({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, bytes(12)),
        header({"a": ONE, "b": {**ONE, "data_offsets": [16, 24]}}, bytes(24)),
        header({"a": {**ONE, "data_offsets": [8, 0]}}, bytes(8)),
        header({"a": {**ONE, "shape": [-2]}}, bytes(8)),
        header({"a": {**ONE, "shape": [1 << 62, 1 << 62]}}, bytes(8)),
        header({"a": {**ONE, "dtype": "F33"}}, bytes(8)),
        header({"a": {**ONE, "dtype": 3}}, bytes(8)),
        header({"a": 3}, bytes(8)),
        header({"a": {}}, bytes(8)),
        header(["a"], bytes(8)),
        header({"__metadata__": {"arcterm": 3}, "a": ONE}, bytes(8)),
        header({"__metadata__": ["arcterm"], "a": ONE}, bytes(8)),
        header(b"[" * 1_000_000),
        header(b'{"a":' * 100_000),
        header(b'{"a": \xff}'),
        header(b'{"a": ' + b"9" * 5000 + b"}"),
        header({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, bytes(2)),
        header({"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        header({"__metadata__": {"arcterm": "{}"}, "a": ONE}, bytes(8)),
    ],
    ids=range(24),
)
def test_safetensors_that_lie(tmp_path, data):
    refused(tmp_path, data, "x.safetensors")


def carded(tmp_path, tiny, name="ours.safetensors", **changes):
    """A model file of ours whose card is changed."""
    path = tmp_path / name
    tensors = dict(tiny.network.state_dict()) | changes.pop("tensors", {})
    card = {**msgspec.to_builtins(FACTS), **changes}
    save_file(tensors, path, metadata={"arcterm": json.dumps(card)})
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": "r9999"}, "no backbone 'r9999'"),
        ({"backbone": ""}, "no backbone ''"),
        ({"backbone": "r18"}, "does not fit backbone 'r18'"),
        ({"options": {"embedding_size": 65}}, "does not fit backbone 'tiny'"),
        ({"options": {"embedding_size": 10**12}}, "outside its range"),
        ({"options": {"embedding_size": 4096}}, "does not fit backbone 'tiny'"),
        ({"options": {"embedding_size": "much"}}, "whole number"),
        ({"options": {"width": 3}}, "no option 'width'"),
        ({"options": {"embedding_size": [1]}}, "card is damaged"),
        ({"backbone": "y1", "options": {"blocks": "9,99999,9,9"}}, "four counts"),
        ({"backbone": "y1", "options": {"embedding_size": 4096, "scale": 8}}, "does not fit backbone 'y1'"),
        ({"embedding_size": 0}, "card is damaged"),
        ({"input_size": [112]}, "card is damaged"),
        ({"input_size": [10**6, 10**6]}, "112×112"),
        ({"scale": 0}, "card is damaged"),
        ({"classes": -1}, "card is damaged"),
        ({"format_version": 2}, "newer arcterm"),
        ({"tensors": {"more": torch.ones(1)}}, "does not fit backbone 'tiny'"),
        ({"tensors": {"fc.bias": torch.ones(63)}}, "does not fit backbone 'tiny'"),
        ({"classes": 3, "tensors": {modelfile.HEAD: torch.ones(1, 64)}}, "class weights"),
        ({"classes": 3}, "class weights"),
    ],
    ids=str,
)
def test_a_card_that_lies(tmp_path, tiny, changes, said):
    path = carded(tmp_path, tiny, **changes)
    with pytest.raises(DataError) as raised:
        model.open_model({"file": str(path)})
    assert said in raised.value.message
    assert str(path) in raised.value.message


def test_a_newer_or_unreadable_card_is_told_before_weights_are_read(tmp_path, tiny):
    path = carded(tmp_path, tiny, format_version=modelfile.FORMAT_VERSION + 1)
    with pytest.raises(DataError, match="update arcterm"):
        modelfile.read_facts(path)
    whole = carded(tmp_path, tiny, "whole.safetensors")
    assert modelfile.read_facts(whole) == FACTS


def test_a_model_file_cut_anywhere(tmp_path, tiny):
    path = tmp_path / "ours.safetensors"
    model.save(tiny, path)
    data = path.read_bytes()
    for length in (0, 7, 8, 100, 2000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"ours\.safetensors"):
            model.open_model({"file": str(path)})


def test_flipped_bits_of_a_header_give_a_model_or_an_error(tmp_path, tiny):
    path = tmp_path / "ours.safetensors"
    model.save(tiny, path)
    data, draw = path.read_bytes(), random.Random(3)
    end = 8 + int.from_bytes(data[:8], "little")
    for _ in range(150):
        damaged = bytearray(data)
        damaged[draw.randrange(end)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            facts = modelfile.read_facts(path)
            if facts is not None:
                model.open_model({"file": str(path)})
        except ArctermError as error:
            assert str(path) in error.message


def test_weights_that_are_not_numbers_are_told_when_used(tmp_path, tiny):
    found = Model(tiny.facts, model.build(tiny.facts))
    with torch.no_grad():
        found.network.get_parameter("fc.weight")[0, 0] = float("nan")
    with pytest.raises(DataError, match="the embeddings are not finite"):
        embedding.embed(
            found, [picture(tmp_path / "a.png")], resize=False, flip=False, progress=lambda *_: None
        )
