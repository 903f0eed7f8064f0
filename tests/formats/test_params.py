""".params against files of MXNet 0.x, 1.1 and 1.3, against MTCNN's other distribution, and against damage."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from arcterm.errors import DataError
from arcterm.formats.mxnet import params, symbol
from arcterm.formats.mxnet.params import Array

Locate = Callable[[str], Path]
DTYPES = ["<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?"]
NONE = (0,)


def listed(*arrays: bytes, names: list[bytes] | None = None) -> bytes:
    """A whole file of arrays given as bytes."""
    named = names if names is not None else [b"a%d" % n for n in range(len(arrays))]
    tail = b"".join(struct.pack("<Q", len(name)) + name for name in named)
    head = struct.pack("<QQQ", 0x112, 0, len(arrays))
    return head + b"".join(arrays) + struct.pack("<Q", len(named)) + tail


def v2(shape: tuple[int, ...], flag: int, values: bytes, storage: int = 0, word: int = 0xF993FAC9) -> bytes:
    layout = f"<IiI{len(shape)}qiii"
    return struct.pack(layout, word, storage, len(shape), *shape, 1, 0, flag) + values


def load(tmp_path: Path, data: bytes) -> dict[str, Array]:
    path = tmp_path / "m.params"
    path.write_bytes(data)
    return params.read(path)


def test_a_model_of_mxnet_1_3(test_data: Locate) -> None:
    found = params.read(test_data("mxnet/gender-age/model-0000.params"))
    assert len(found) == 146
    assert sum(name.startswith("arg:") for name in found) == 88
    assert sum(name.startswith("aux:") for name in found) == 58
    nodes = symbol.read(test_data("mxnet/gender-age/model-symbol.json")).nodes
    variables = {node.name for node in nodes if node.op == "null"} - {"data"}
    assert {name[4:] for name in found} == variables
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(array).all() for array in found.values())
    assert all((found[name] >= 0).all() for name in found if name.endswith("moving_var"))


def test_the_oldest_layout(test_data: Locate) -> None:
    found = params.read(test_data("mxnet/legacy_ndarray.v0"))
    assert list(found) == ["0", "1", "2", "3", "4", "5"]
    for vector in found.values():
        np.testing.assert_array_equal(vector, np.arange(128, dtype=np.float32), strict=True)


def test_what_mxnet_1_1_wrote_is_read_and_written(test_data: Locate, tmp_path: Path) -> None:
    golden = test_data("mxnet/golden_1_1_0/t.params")
    found = params.read(golden)
    assert list(found) == ["arg:fc1_weight", "aux:bn_moving_mean"]
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(found["arg:fc1_weight"], matrix, strict=True)
    np.testing.assert_array_equal(found["aux:bn_moving_mean"], np.array([1.0, 2.0]), strict=True)
    params.write(tmp_path / "t.params", found)
    assert (tmp_path / "t.params").read_bytes() == golden.read_bytes()


class _Arrays(pickle.Unpickler):
    """Unpickles what `numpy.save` makes of nested dicts of arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.zeros(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def unpickled(path: Path) -> dict[str, dict[str, Array]]:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        found = _Arrays(io.BytesIO(file.read()), encoding="latin1").load().item()
    return {name.lower(): arrays for name, arrays in found.items()}


ROLES = {"weight": "weights", "bias": "biases", "gamma": "alpha"}


@pytest.mark.parametrize(("net", "count"), [("det1", 13), ("det2", 16)])
def test_mtcnn_equals_its_other_distribution(test_data: Locate, net: str, count: int) -> None:
    found = params.read(test_data(f"mtcnn/{net}-0001.params"))
    theirs = unpickled(test_data(f"mtcnn/{net}.npy"))
    assert len(found) == count
    for name, array in found.items():
        layer, role = name.removeprefix("arg:").rsplit("_", 1)
        wanted = theirs[layer.replace("_", "-")][ROLES[role]]
        if layer == "conv1" and role == "weight":  # BGR there
            wanted = wanted[:, :, ::-1]
        if (net, name) == ("det2", "arg:conv4_weight"):  # fully connected to a map of 3×3×64
            wanted = wanted.reshape(3, 3, 64, 128)
        turned = wanted.transpose(range(wanted.ndim)[::-1]).reshape(array.shape)
        np.testing.assert_array_equal(array, turned, strict=True)


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0))
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, written: dict[str, Array]) -> None:
    path = tmp_path_factory.mktemp("params") / "m.params"
    params.write(path, written)
    found = params.read(path)
    assert list(found) == list(written)
    for name, array in written.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.carray


def test_every_version_and_dtype(tmp_path: Path) -> None:
    two = struct.pack("<2f", 1.5, -2)
    v0 = struct.pack("<IIiii", 1, 2, 1, 0, 0) + two
    v1 = struct.pack("<IIqiii", 0xF993FAC8, 1, 2, 2, 3, 0) + two  # on a GPU, then
    v3 = struct.pack("<Iiiqiii", 0xF993FACA, 0, 1, 2, 1, 0, 0) + two
    scalar = struct.pack("<Iiiiii", 0xF993FACA, 0, 0, 1, 0, 0) + two[:4]
    bf16 = v2((2,), 12, struct.pack("<2f", 1.5, -2)[2:4] + struct.pack("<2f", 1.5, -2)[6:8])
    truth = v2((3,), 7, b"\0\1\2")
    found = list(load(tmp_path, listed(v0, v1, v3, scalar, bf16, truth)).values())
    for vector in (*found[:3], found[4]):
        np.testing.assert_array_equal(vector, np.array([1.5, -2], np.float32), strict=True)
    np.testing.assert_array_equal(found[3], np.array(1.5, np.float32), strict=True)
    np.testing.assert_array_equal(found[5], [False, True, True], strict=True)


def test_arrays_that_were_never_filled(tmp_path: Path) -> None:
    unfilled = [
        struct.pack("<I", 0),
        struct.pack("<II", 0xF993FAC8, 0),
        struct.pack("<IiI", 0xF993FAC9, 0, 0),
        struct.pack("<Iii", 0xF993FACA, 0, -1),
        struct.pack("<Iiiq", 0xF993FACA, 0, 1, -1),
    ]
    empty = [struct.pack("<IIIiii", 2, 0, 5, 1, 0, 0), v2((0, 3), 1, b"")]
    found = load(tmp_path, listed(*unfilled, *empty))
    assert [array.shape for array in found.values()] == [NONE] * 5 + [(0, 5), (0, 3)]


ONE = v2((1,), 0, bytes(4))


@pytest.mark.parametrize(
    ("data", "byte", "what"),
    [
        (b"", None, "is empty"),
        (b"\x12\x01", 0, "ends within"),
        (struct.pack("<QQQQ", 0x113, 0, 0, 0), 0, "isn't a list of MXNet arrays"),
        (struct.pack("<QQQ", 0x112, 0, 2**62), 16, "says 4611686018427387904"),
        (listed(v2((1,), 0, bytes(4), storage=1)), 24, "row-sparse"),
        (listed(v2((1,), 0, bytes(4), storage=2)), 24, "CSR"),
        (listed(v2((1,), 0, bytes(4), storage=9)), 24, "storage type 9"),
        (listed(v2((1,), 99, bytes(4))), 24, "dtype 99"),
        (listed(v2((2**40,), 0, bytes(4))), 56, "4398046511104 bytes of it are due"),
        (listed(v2((2**33, 2**33), 0, bytes(4))), 24, "impossible shape"),
        (listed(v2((0, 2**62), 0, b"")), 24, "impossible shape"),
        (listed(v2((2**32, 2**32, 2**32), 3, b"")), 24, "impossible shape"),
        (listed(v2((-1,), 0, b"")), 24, "impossible shape"),
        (listed(struct.pack("<I", 33)), 24, "33 dimensions"),
        (listed(struct.pack("<IiI", 0xF993FAC9, 0, 2**31)), 24, "2147483648 dimensions"),
        (listed(struct.pack("<Iii", 0xF993FACA, 0, -2)), 24, "-2 dimensions"),
        (listed(ONE) + b"x", 78, "goes on for 1 bytes"),
        (listed(ONE, names=[b"a", b"b"]), 60, "2 names for 1 arrays"),
        (listed(ONE, ONE, names=[b"arg:a", b"arg:a"]), 117, "two arrays named 'arg:a'"),
        (listed(ONE, names=[b"\xff"]), 68, "aren't UTF-8"),
        (listed(ONE, names=[b"a\x1b[2J"]), 68, "control characters"),
        (listed(ONE)[:-10] + struct.pack("<Q", 2**63), 76, "ends within name 0"),
    ],
)
def test_a_defect_is_named_with_its_byte(tmp_path: Path, data: bytes, byte: int | None, what: str) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, data)
    assert what in caught.value.message
    assert str(tmp_path / "m.params") in caught.value.message
    assert byte is None or f"byte {byte}:" in caught.value.message


@pytest.mark.parametrize(
    "array", [np.array(1.0, np.float32), np.zeros(2, np.complex64), np.zeros(2, np.uint16), np.array(["a"])]
)
def test_what_mxnet_has_no_place_for_is_not_written(tmp_path: Path, array: Array) -> None:
    with pytest.raises(ValueError, match="no array like 'it'"):
        params.write(tmp_path / "m.params", {"it": array})
    assert not list(tmp_path.iterdir())


SMALL = listed(
    v2((2, 3), 0, bytes(range(24))),
    struct.pack("<IIiii", 1, 2, 1, 0, 3) + b"ab",
    struct.pack("<IIqiii", 0xF993FAC8, 1, 1, 1, 0, 2) + b"cd",
    struct.pack("<Iiiqiii", 0xF993FACA, 0, 1, 2, 1, 0, 12) + b"efgh",
    names=[b"arg:w", b"aux:m", b"x", b"y"],
)


def test_every_truncation_is_a_data_error(tmp_path: Path) -> None:
    assert len(load(tmp_path, SMALL)) == 4
    for length in range(len(SMALL)):
        with pytest.raises(DataError):
            load(tmp_path, SMALL[:length])


@pytest.mark.long
def test_any_flipped_bit_gives_a_result_or_a_data_error(tmp_path: Path) -> None:
    results = 0
    for bit in range(8 * len(SMALL)):
        flipped = bytearray(SMALL)
        flipped[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(DataError):
            found = load(tmp_path, bytes(flipped))
            assert sum(array.nbytes for array in found.values()) <= 2 * len(SMALL)
            results += 1
    assert 0 < results < 8 * len(SMALL)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 8), st.binary(min_size=1, max_size=8)), max_size=3))
def test_any_damage_gives_a_result_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, bytes]]
) -> None:
    data = bytearray(SMALL)
    for at, patch in damage:
        data[at : at + len(patch)] = patch
    with contextlib.suppress(DataError):
        load(tmp_path_factory.mktemp("params"), bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<QQQ", 0x112, 0, 20_000) + bytes(4 * 20_000) + bytes(8),  # unfilled and unnamed
        listed(v2((10_000, 2), 12, bytes(40_000)), v2((40_000,), 7, bytes(40_000))),
        listed(v2((10_000,), 0, bytes(40_000)), v2((1 << 36,), 0, bytes(8))),
    ],
)
def test_memory_is_in_proportion_to_the_file(tmp_path: Path, data: bytes) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            load(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 80 * len(data)
    finally:
        tracemalloc.stop()
