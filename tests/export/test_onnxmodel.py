"""ONNX files as models: fed as their graphs want, and refused by name where they are none."""

from __future__ import annotations

import importlib.util
import os

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from arcterm.errors import DataError
from arcterm.export.model import open_model
from arcterm.formats import modelfile
from arcterm.formats.modelfile import ModelFacts
from arcterm.inputs.models import facts_of, locate, refuse_graph
from arcterm.verify.embed import normalize

from .conftest import apart

WEIGHT = np.random.default_rng(3).standard_normal((3, 8)).astype(np.float32)
SHAPE = ["n", 3, 16, 16]
MEAN = [("GlobalAveragePool", ["x"], ["pooled"]), ("Flatten", ["pooled"], ["flat"])]
NET = [*MEAN, ("MatMul", ["flat", "weight"], ["y"])]
Y = ("y", ["n", 8])


def graph(
    path, *, entry=SHAPE, kind=TensorProto.FLOAT, nodes=NET, outputs=(Y,), arrays=(), inputs=(), metadata=()
):
    """Write a graph whose image is ``x``; returns the place of its file."""
    proto = helper.make_model(
        helper.make_graph(
            [helper.make_node(op, i, o, **dict(*more)) for op, i, o, *more in nodes],
            "made",
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in [("x", entry), *inputs]],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
            [numpy_helper.from_array(WEIGHT, "weight")]
            + [numpy_helper.from_array(np.asarray(a), name) for name, a in arrays],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    for key, value in metadata:
        proto.metadata_props.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())
    return {"onnx": str(path)}


@pytest.fixture
def faces():
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 16, 16, 3), generator=draw, dtype=torch.uint8)


def wanted(faces, mean=127.5, std=127.5, order=(0, 1, 2)):
    """The embeddings that the graph's author computes: means of the planes, times the weights."""
    x = (faces.numpy()[..., list(order)].astype(np.float64) - mean) / std
    return torch.from_numpy((x.mean((1, 2)) @ WEIGHT).astype(np.float32))


def embedded(found, faces):
    with torch.inference_mode():
        return found.network(normalize(faces, found.facts.preprocess))


NHWC = [("Transpose", ["i"], ["x"], {"perm": [0, 3, 1, 2]}), *NET]
FROM_UINT8 = [("Cast", ["x"], ["f"], {"to": 1}), ("GlobalAveragePool", ["f"], ["pooled"]), *NET[1:]]
INSIDE = [
    ("Sub", ["x", "m"], ["a"]),
    ("Mul", ["a", "s"], ["b"]),
    ("GlobalAveragePool", ["b"], ["pooled"]),
    *NET[1:],
]
CONSTANTS = [("m", np.float32(100)), ("s", np.float32(0.5))]
ALONE = [*MEAN, ("Reshape", ["flat", "one"], ["r"]), ("MatMul", ["r", "weight"], ["y"])]
FOUR = [*NET[:2], ("MatMul", ["flat", "weight"], ["z"]), ("Reshape", ["z", "to"], ["y"])]


@pytest.mark.parametrize(
    ("made", "fed", "batch"),
    [
        ({}, {}, 0),
        ({"entry": None}, {}, 0),
        ({"entry": [1, 3, 16, 16]}, {}, 1),
        ({"entry": [2, 3, 16, 16]}, {}, 2),
        ({"entry": [7, 3, 16, 16]}, {}, 7),
        ({"nodes": ALONE, "arrays": [("one", np.array([1, 3]))], "outputs": [("y", None)]}, {}, 1),
        ({"nodes": FOUR, "arrays": [("to", np.array([-1, 8, 1, 1]))], "outputs": [("y", None)]}, {}, 0),
        ({"kind": TensorProto.UINT8, "nodes": FROM_UINT8}, {"mean": 0, "std": 1}, 0),
        ({"nodes": INSIDE, "arrays": CONSTANTS}, {"mean": 100, "std": 2}, 0),
    ],
    ids=["any", "of no shape", "1", "2", "7", "1, unsaid", "a map of one", "uint8", "normalises"],
)
def test_it_computes_what_its_graph_does(tmp_path, faces, made, fed, batch):
    found = open_model(graph(tmp_path / "a.onnx", **made))
    assert (found.facts.embedding_size, found.network.batch) == (8, batch)
    small = faces if found.facts.input_size == (16, 16) else faces.repeat(1, 7, 7, 1)
    assert apart(embedded(found, small), wanted(small, **fed)) < 1e-5
    assert apart(embedded(found, small), wanted(small, mean=90)) > 1e-3  # negative control
    assert embedded(found, small[:0]).shape == (0, 8)


def test_images_whose_colours_are_the_last_axis(tmp_path, faces):
    nodes = [("Transpose", ["x"], ["t"], {"perm": [0, 3, 1, 2]}), ("GlobalAveragePool", ["t"], ["pooled"])]
    found = open_model(graph(tmp_path / "a.onnx", entry=["n", 16, 16, 3], nodes=[*nodes, *NET[1:]]))
    assert found.network.last
    assert apart(embedded(found, faces), wanted(faces)) < 1e-5


def test_a_guess_is_said_and_can_be_given(tmp_path, faces):
    place = graph(tmp_path / "a.onnx")
    assert "guess" in open_model(place).facts.input_basis
    known = {"channels": "bgr", "mean": (10.0, 20.0, 30.0), "scale": (1 / 2, 1 / 4, 1 / 8)}
    found = open_model(place, known)
    assert found.facts.input_basis == ""
    planes = wanted(faces, np.array([30, 20, 10]), np.array([8, 4, 2]), order=(2, 1, 0))
    assert apart(embedded(found, faces), planes) < 1e-5
    part = open_model(place, {"channels": "bgr"})
    assert part.facts.input_basis.startswith("mean, scale as InsightFace")


def test_a_card_in_the_file_says_it_all(tmp_path, faces):
    facts = ModelFacts(
        backbone="tiny",
        embedding_size=8,
        mean=(1.0, 2.0, 3.0),
        scale=1 / 50,
        channels="bgr",
        source="run/step",
    )
    place = graph(tmp_path / "a.onnx", metadata=[(modelfile.KEY, modelfile.encode(facts))])
    found = open_model(place)
    assert (found.facts.source, found.facts.input_size) == ("run/step", (16, 16))
    assert facts_of(place).preprocess.planes == facts.preprocess.planes
    bgr = wanted(faces, np.array([3, 2, 1]), 50, order=(2, 1, 0))
    assert apart(embedded(found, faces), bgr) < 1e-5
    open_model(place, {"channels": "bgr"})
    with pytest.raises(DataError, match="says itself how images enter it"):
        open_model(place, {"mean": 127.5})
    with pytest.raises(DataError, match="says itself how images enter it"):
        open_model(place, {"channels": "rgb"})


def test_the_embedding_of_several_outputs_is_taken_if_there_is_one(tmp_path, faces):
    nodes = [*NET, ("ReduceL2", ["y"], ["length"], {"axes": [1], "keepdims": 1})]
    found = open_model(graph(tmp_path / "a.onnx", nodes=nodes, outputs=[("length", ["n", 1]), Y]))
    assert apart(embedded(found, faces), wanted(faces)) < 1e-5
    assert "its output 'y' is used, not length" in found.facts.input_basis


BOXES = [("Identity", ["y"], [name]) for name in ("a", "b")]
BOX = ("Identity", ["y"], ["bbox_8"])
SPLIT = [("Split", ["y"], ["448", "451"], {"axis": 1})]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            {"outputs": [Y, ("flat", ["n", 3])]},
            "gives several embeddings for 2 images: 'y' (2, 8), 'flat' (2, 3)",
        ),
        ({"outputs": [("pooled", None)], "nodes": [("Relu", ["x"], ["pooled"])]}, "gives no embedding"),
        ({"inputs": [("more", ["n", 3])]}, "has 2 inputs, not one of images: 'x' (n, 3, 16, 16), 'more'"),
        ({"entry": ["n", 1, 16, 16]}, "takes no colour images: its input is 'x' (n, 1, 16, 16)"),
        ({"entry": ["n", 48]}, "takes no colour images"),
        ({"kind": TensorProto.STRING}, "takes type 8, no pixels"),
        ({"entry": [1, 3, 10**6, 10**6]}, "takes far more than images of a face"),
        ({"nodes": [*NET[:2], ("MatMul", ["flat", "none"], ["y"])]}, "can't run"),
        ({"nodes": [*NET[:2], ("Magic", ["flat"], ["y"])]}, "can't run"),
        ({"nodes": [*NET, *BOXES], "outputs": [("a", None), ("b", None)]}, "several embeddings"),
        (
            {"nodes": [*NET, ("Identity", ["y"], ["bbox_8"])], "outputs": [Y, ("bbox_8", None)]},
            "is a detector's",
        ),
        (
            {"nodes": [*NET, *SPLIT], "outputs": [("448", [20, 4]), ("451", [20, 1])]},
            "is a detector's file, not a recognition model: its outputs are boxes: '448' (20, 4)",
        ),
    ],
    ids=range(12),
)
def test_what_is_no_recognition_model_is_named(tmp_path, made, said):
    with pytest.raises(DataError) as raised:
        open_model(graph(tmp_path / "a.onnx", **made))
    assert said in raised.value.message
    assert "a.onnx" in raised.value.message
    assert "\n" not in raised.value.message


def stored_outside(tmp_path, place):
    proto = onnx.load(graph(tmp_path / "a.onnx")["onnx"])
    array = proto.graph.initializer[0]
    for key, value in (("location", place), ("offset", "0"), ("length", str(WEIGHT.nbytes))):
        array.external_data.add(key=key, value=value)
    array.data_location = TensorProto.EXTERNAL
    array.ClearField("raw_data")
    (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
    return {"onnx": str(tmp_path / "a.onnx")}


def test_weights_beside_the_file_are_read_and_missed_by_name(tmp_path, faces):
    place = stored_outside(tmp_path, "w.data")
    with pytest.raises(DataError, match=r"has its weights in w\.data, not in"):
        open_model(place)
    (tmp_path / "w.data").write_bytes(WEIGHT.tobytes()[:-1])
    with pytest.raises(DataError, match=r"needs 96 bytes of w\.data, which has 95"):
        open_model(place)
    (tmp_path / "w.data").write_bytes(WEIGHT.tobytes())
    assert apart(embedded(open_model(place), faces), wanted(faces)) < 1e-5


@pytest.mark.parametrize("place", ["w\0data", "w" * 300, "a/" * 3000, ""], ids=range(4))
def test_a_place_that_can_be_no_files_is_missed(tmp_path, place):
    with pytest.raises(DataError, match=r"has its weights in .*, not in"):
        open_model(stored_outside(tmp_path, place))


@pytest.mark.parametrize("place", ["{}/secret", "../secret", "in/../../secret", "link", "*/_ORT_MEM_ADDR_/*"])
def test_no_file_outside_of_its_folder_is_read(tmp_path, place):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to("../secret")
    with pytest.raises(DataError, match="outside of its own folder"):
        open_model(stored_outside(folder, place.format(tmp_path)))


def test_files_that_are_no_onnx(tmp_path):
    whole = tmp_path / "a.onnx"
    graph(whole)
    data = whole.read_bytes()
    for cut in range(0, len(data), 7):
        (tmp_path / "cut.onnx").write_bytes(data[:cut])
        with pytest.raises(DataError):
            open_model(locate(str(tmp_path / "cut.onnx"), tmp_path))
    (tmp_path / "text.onnx").write_text("no model at all")
    with pytest.raises(DataError, match=r"text\.onnx is no whole ONNX file"):
        open_model(locate(str(tmp_path / "text.onnx"), tmp_path))
    (tmp_path / "lfs.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(DataError, match="is a Git LFS pointer"):
        locate(str(tmp_path / "lfs.onnx"), tmp_path)
    os.truncate(tmp_path / "text.onnx", 1 << 31)  # a hole
    with pytest.raises(DataError, match="larger than 2 GiB"):
        open_model({"onnx": str(tmp_path / "text.onnx")})


def test_its_name_says_nothing(tmp_path):
    place = graph(tmp_path / "backbone.pth")
    assert locate(str(tmp_path / "backbone.pth"), tmp_path) == place


def test_without_onnxruntime_the_way_to_get_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError) as raised:
        open_model(graph(tmp_path / "a.onnx"))
    assert raised.value.hint == "pip install 'arcterm[onnx]'"


def test_the_facts_of_another_programs_file(tmp_path):
    found = open_model(graph(tmp_path / "w600k_r50.onnx"))
    wanted = ModelFacts(
        backbone="onnx", embedding_size=8, input_size=(16, 16), source="w600k_r50.onnx", scale=1 / 127.5
    )
    assert msgspec.structs.replace(found.facts, input_basis="") == wanted
    assert found.network.parameters_stored == WEIGHT.size


def test_a_detector_is_called_one_wherever_weights_are_wanted_and_without_a_runtime(tmp_path, monkeypatch):
    boxes = [("Identity", ["y"], [name]) for name in ("cls_8", "bbox_8")]
    place = graph(
        tmp_path / "d.onnx", nodes=[*NET, *boxes], outputs=[("cls_8", ["n", 8]), ("bbox_8", ["n", 8])]
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for read in (refuse_graph, open_model):
        with pytest.raises(DataError, match=r"d\.onnx is a detector's file.*'cls_8' \(n, 8\), 'bbox_8'"):
            read(place)
    other = graph(tmp_path / "net.onnx")
    with pytest.raises(DataError, match="which onnxruntime runs"):
        open_model(other)
    with pytest.raises(DataError, match="not weights of a backbone"):
        refuse_graph(other)
