"""-symbol.json against files of MXNet 0.x and 1.3, and against damage."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.formats.mxnet import operators, params, symbol
from arcterm.formats.mxnet.symbol import Symbol

Locate = Callable[[str], Path]
Given = dict[str, Any]


def load(tmp_path: Path, nodes: list[Given], heads: list[int]) -> Symbol:
    path = tmp_path / "m-symbol.json"
    path.write_text(json.dumps({"nodes": nodes, "heads": [[head, 0, 0] for head in heads]}))
    return symbol.read(path)


class Network:
    """Nodes as a symbol file has them; a call appends one and gives its number."""

    def __init__(self) -> None:
        self.nodes: list[Given] = []

    def __call__(self, op: str, name: str, *inputs: int, **attrs: str) -> int:
        references = [[number, 0, 0] for number in inputs]
        self.nodes.append({"op": op, "name": name, "inputs": references, "attrs": attrs})
        return len(self.nodes) - 1

    def variable(self, name: str) -> int:
        return self("null", name)

    def layer(self, op: str, name: str, source: int, *roles: str, **attrs: str) -> int:
        return self(op, name, source, *(self.variable(f"{name}_{role}") for role in roles), **attrs)


def test_a_model_of_mxnet_1_3(test_data: Locate) -> None:
    found = symbol.read(test_data("mxnet/gender-age/model-symbol.json"))
    assert len(found.nodes) == 236
    assert found.preprocess() == (127.5, 0.0078125)
    layers = found.layers()
    used = {name for layer in layers for name in layer.arrays.values()}
    arrays = params.read(test_data("mxnet/gender-age/model-0000.params"))
    assert used == {name[4:] for name in arrays}
    aux = {n for layer in layers for role, n in layer.arrays.items() if role.startswith("moving_")}
    assert {f"aux:{name}" for name in aux} == {name for name in arrays if name.startswith("aux:")}
    assert layers[0].arrays == {"weight": "conv_1_conv2d_weight"}
    assert (layers[1].attrs["eps"], layers[1].attrs["fix_gamma"]) == (1e-3, True)  # both unsaid
    assert (layers[-1].name, layers[-1].attrs["eps"]) == ("fc1", 2e-05)
    assert found.layers("conv_1_relu_output") == layers[:2]
    kinds = [layer.kind for layer in layers]
    assert {kind: kinds.count(kind) for kind in kinds} == {"conv": 27, "bn": 29, "prelu": 1, "fc": 1}
    # MXNet lists nodes in the order in which it walks them, and so did we.
    assert [node.index for node in found.in_order()] == list(range(236))


def test_a_model_of_mxnet_0_x(test_data: Locate) -> None:
    found = symbol.read(test_data("mtcnn/det1-symbol.json"))
    assert found.preprocess() is None
    arrays = params.read(test_data("mtcnn/det1-0001.params"))
    layers = found.layers("conv4_2_output") + found.layers("prob1_output")[-1:]
    assert {f"arg:{name}" for layer in layers for name in layer.arrays.values()} == set(arrays)
    assert [layer.name for layer in layers if layer.kind == "prelu"] == ["prelu1", "prelu2", "prelu3"]
    pool = next(node for node in found.nodes if node.op == "Pooling")
    assert (pool.attrs["kernel"], pool.attrs["pooling_convention"]) == ((2, 2), "full")
    assert pool.attrs["count_include_pad"] is True


def test_the_walk_goes_depth_first_and_left_to_right(tmp_path: Path) -> None:
    net = Network()
    data = net.variable("data")
    right = net.layer("Convolution", "right", data, "weight", no_bias="True")
    left = net.layer("Convolution", "left", data, "weight", "bias")
    unused = net.layer("Convolution", "unused", left, "weight", "bias")
    total = net("elemwise_add", "fc1", left, right)
    found = load(tmp_path, net.nodes, [total, unused])
    assert [layer.name for layer in found.layers()] == ["left", "right"]
    assert [node.name for node in found.in_order()][-1] == "fc1"
    assert [layer.name for layer in found.layers("unused_output")] == ["left", "unused"]
    assert [layer.arrays for layer in found.layers()] == [
        {"weight": "left_weight", "bias": "left_bias"},
        {"weight": "right_weight"},
    ]


@pytest.mark.long
def test_a_very_deep_network_needs_no_recursion(tmp_path: Path) -> None:
    net = Network()
    last = net.variable("data")
    for number in range(50_000):
        last = net("Activation", f"act{number}", last, act_type="relu")
    assert len(load(tmp_path, net.nodes, [last]).in_order()) == 50_001


def training(net: Network, embedding: int) -> list[int]:
    """What train_softmax puts behind an embedding: the margin head, and the embedding for verification."""
    weight = net("L2Normalization", "l2normalization0", net.variable("fc7_weight"), mode="instance")
    unit = net("_mul_scalar", "_mulscalar9", net("L2Normalization", "fc1n", embedding), scalar="64")
    fc7 = net("FullyConnected", "fc7", unit, weight, num_hidden="10", no_bias="True")
    loss = net("SoftmaxOutput", "softmax", fc7, net.variable("softmax_label"))
    return [net("BlockGrad", "blockgrad0", embedding), loss]


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("head", ["BN", "FC called otherwise", "pooled", "activated"])
def test_the_embedding_is_found(tmp_path: Path, head: str, trained: bool) -> None:
    net = Network()
    body = net.layer("Convolution", "conv0", net.variable("data"), "weight", "bias")
    if head == "pooled":
        end = net("Pooling", "pool1", body, global_pool="True", kernel="(7, 7)", pool_type="avg")
    elif head == "FC called otherwise":
        end = net.layer("FullyConnected", "pre_fc1", body, "weight", "bias", num_hidden="8")
    else:
        end = net.layer("BatchNorm", "fc1", body, "gamma", "beta", "moving_mean", "moving_var")
        if head == "activated":
            end = net.layer("LeakyReLU", "fc1_relu", end, "gamma", act_type="prelu")
    wanted = net.nodes[end]["name"]
    heads = training(net, end) if trained else [end]
    found = load(tmp_path, net.nodes, heads)
    assert found.in_order()[-1].name == wanted
    assert not any(name.startswith("fc7") for layer in found.layers() for name in layer.arrays.values())


def test_a_head_of_class_weights_alone_is_cut(tmp_path: Path) -> None:
    net = Network()
    pooled = net(
        "Pooling", "pool1", net.layer("Convolution", "conv0", net.variable("data"), "weight", "bias")
    )
    fc7 = net.layer("FullyConnected", "fc7", pooled, "weight", "bias", num_hidden="10")
    found = load(tmp_path, net.nodes, [net("SoftmaxOutput", "softmax", fc7, net.variable("softmax_label"))])
    assert found.in_order()[-1].name == "pool1"
    assert [layer.name for layer in found.layers("fc7_output")] == ["conv0", "fc7"]


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    net = Network()
    found = load(tmp_path, net.nodes, [net("Activation", "a", net.variable("data"), act_type="relu")])
    with pytest.raises(DataError, match=r"no output 'fc9_output'\n.*a_output"):
        found.in_order("fc9_output")
    with pytest.raises(DataError, match="no output 'fc1_output'"):
        load(tmp_path, [], []).in_order()


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([("_minus_scalar", "127.5"), ("_mul_scalar", "0.0078125")], (127.5, 0.0078125)),
        ([("_copy", None), ("_MinusScalar", "127.5"), ("_MulScalar", "0.0078125")], (127.5, 0.0078125)),
        ([("_mul_scalar", "2"), ("_plus_scalar", "-3")], (1.5, 2.0)),
        ([("_div_scalar", "128")], (0.0, 0.0078125)),
        ([("_copy", None)], None),
        ([("Cast", None), ("_minus_scalar", "1")], (1.0, 1.0)),
        ([("Activation", None), ("_minus_scalar", "1")], None),
        ([("_mul_scalar", "0")], None),
        ([("_div_scalar", "0"), ("_plus_scalar", "1")], None),
        ([("_mul_scalar", "1e300"), ("_mul_scalar", "1e300")], None),
        ([("_copy", "x"), ("_minus_scalar", "1")], (1.0, 1.0)),
    ],
)
def test_preprocessing(
    tmp_path: Path, steps: list[tuple[str, str | None]], wanted: tuple[float, float] | None
) -> None:
    net = Network()
    last = net.variable("data")
    for op, scalar in steps:
        last = net(op, f"{op}0", last, **({"scalar": scalar} if scalar else {}))
    last = net.layer("Convolution", "conv0", last, "weight", "bias", kernel="(3,3)")
    assert load(tmp_path, net.nodes, [last]).preprocess() == wanted


def test_statistics_that_were_not_nodes_before_0_9(tmp_path: Path) -> None:
    net = Network()
    bn = net.layer("BatchNorm", "bn0", net.variable("data"), "gamma", "beta")
    arrays = load(tmp_path, net.nodes, [bn]).layers()[0].arrays
    assert (arrays["moving_mean"], arrays["moving_var"]) == ("bn0_moving_mean", "bn0_moving_var")


def test_arrays_of_other_operators_are_told(tmp_path: Path) -> None:
    net = Network()
    norm = net.layer("InstanceNorm", "in0", net.variable("data"), "gamma", "beta")
    (layer,) = load(tmp_path, net.nodes, [norm]).layers()
    assert (layer.kind, layer.arrays) == ("InstanceNorm", {"input1": "in0_gamma", "input2": "in0_beta"})


@pytest.mark.parametrize("key", ["attrs", "attr", "param"])
def test_attributes_lie_under_three_keys(tmp_path: Path, key: str) -> None:
    node = {"op": "BatchNorm", "name": "bn", "inputs": [], key: {"eps": "2e-05", "fix_gamma": "False"}}
    attrs = load(tmp_path, [node], [0]).nodes[0].attrs
    assert (attrs["eps"], attrs["fix_gamma"], attrs["momentum"]) == (2e-05, False, 0.9)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(3, 3)", (3, 3)),
        ("(3,)", (3,)),
        ("()", ()),
        ("[1L, 512L]", (1, 512)),
        ("(0.5, 1)", (0.5, 1)),
        ("True", True),
        ("None", None),
        ("-7", -7),
        ("2e-05", 2e-05),
        ("prelu", "prelu"),
        ("nan", "nan"),
        ('["zero", {}]', '["zero", {}]'),
        ("__import__('os')", "__import__('os')"),
        ("9" * 300, "9" * 300),
        ("", ""),
    ],
)
def test_literals(text: str, value: operators.Value) -> None:
    assert operators.literal(text) == value
    assert type(operators.literal(text)) is type(value)


def test_defaults_of_a_kernel_follow_its_length() -> None:
    attrs = operators.attributes("Convolution", {"kernel": "(1, 7)", "pad": "(0, 3)", "no_bias": "1"})
    assert (attrs["stride"], attrs["dilate"], attrs["pad"]) == ((1, 1), (1, 1), (0, 3))
    assert (attrs["no_bias"], attrs["num_group"]) == (True, 1)
    assert operators.attributes("Pooling", {"count_include_pad": "None"})["count_include_pad"] is True


GOOD = {"op": "null", "name": "data", "inputs": []}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ("{}", "`nodes`"),
        ("[" * 100_000, "symbol"),
        ('{"nodes": ' + "[" * 100_000, "symbol"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + ', "nodes": []}', "nested too deep"),
        (json.dumps({"nodes": [GOOD], "heads": [[1, 0]]}), "output 1 of 1 nodes"),
        (json.dumps({"nodes": [GOOD], "heads": [[-1, 0]]}), ">= 0"),
        (json.dumps({"nodes": [{**GOOD, "inputs": [[0, 0]]}]}), "isn't an earlier node"),
        (json.dumps({"nodes": [GOOD, {**GOOD, "inputs": [[2**70, 0]]}]}), "isn't an earlier node"),
        (json.dumps({"nodes": [{**GOOD, "inputs": [[0]]}]}), "length >= 2"),
        (json.dumps({"nodes": [{**GOOD, "inputs": [["0", 0]]}]}), "Expected `int`"),
        (json.dumps({"nodes": [{**GOOD, "attrs": {"eps": 1}}]}), "Expected `str`"),
        (json.dumps({"nodes": [{**GOOD, "name": "a\x1b[2J"}]}), "control characters"),
        (json.dumps({"nodes": [{**GOOD, "name": "\ud800"}]}), "symbol"),
        (json.dumps({"nodes": [{**GOOD, "op": "BatchNorm", "attrs": {"eps": "inf"}}]}), "eps is 'inf'"),
        (json.dumps({"nodes": [{**GOOD, "op": "Convolution", "attrs": {"pad": "x"}}]}), "pad is 'x'"),
        (json.dumps({"nodes": [{**GOOD, "op": "BatchNorm", "attrs": {"fix_gamma": "maybe"}}]}), "fix_gamma"),
        pytest.param(json.dumps({"nodes": [GOOD] * 200_001}), "<= 200000", marks=pytest.mark.long),
        (" " * ((32 << 20) + 1), "longer than"),
    ],
    ids=lambda value: value[:40] if len(value) < 100 else f"{len(value)} characters",
)
def test_a_defect_is_named(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "m-symbol.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        symbol.read(path)
    assert str(path) in caught.value.message
    assert what in caught.value.message


def test_weights_that_are_missing_or_computed_are_named(tmp_path: Path) -> None:
    net = Network()
    conv = net("Convolution", "conv0", net.variable("data"))
    with pytest.raises(DataError, match="Convolution 'conv0' has 0 inputs after its first, not 2"):
        load(tmp_path, net.nodes, [conv]).layers()
    net = Network()
    unit = net("L2Normalization", "l2", net.variable("w"))
    fc = net("FullyConnected", "fc", net.variable("data"), unit, no_bias="True")
    with pytest.raises(DataError, match="takes its weights from L2Normalization 'l2'"):
        load(tmp_path, net.nodes, [fc]).layers("fc_output")


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        symbol.read(tmp_path / "none.json")


@pytest.mark.long
def test_memory_is_in_proportion_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m-symbol.json"
    path.write_text(json.dumps({"nodes": [{"op": "", "name": ""}] * 20_000}, separators=(",", ":")))
    tracemalloc.start()
    try:
        symbol.read(path)
        assert tracemalloc.get_traced_memory()[1] < 60 * path.stat().st_size
    finally:
        tracemalloc.stop()


SMALL = json.dumps(
    {"nodes": [GOOD, {"op": "BatchNorm", "name": "b", "attrs": {"eps": "1"}, "inputs": [[0, 0]]}]}
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.binary(min_size=1, max_size=3)), max_size=3))
def test_any_damage_gives_a_result_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, bytes]]
) -> None:
    data = bytearray(SMALL.encode())
    for at, patch in damage:
        data[at : at + len(patch)] = patch
    path = tmp_path_factory.mktemp("symbol") / "m-symbol.json"
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        found = symbol.read(path)
        found.preprocess()
        found.layers("b_output")


def test_every_truncation_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "m-symbol.json"
    for length in range(len(SMALL)):
        path.write_text(SMALL[:length])
        with pytest.raises(DataError):
            symbol.read(path)
