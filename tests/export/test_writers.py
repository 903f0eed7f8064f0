"""Models as files that run elsewhere: they compute the same, say what they take, and are refused if not."""

from __future__ import annotations

import hashlib
import json
import os
import stat

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from arcterm.errors import ArctermError, DataError
from arcterm.export import card, embedding, verbs, writers
from arcterm.export.model import Model, open_model, save
from arcterm.formats.images import encode_jpeg
from arcterm.formats.modelfile import ModelFacts
from tests.conftest import little_room

from .conftest import FACTS, apart, of

pytestmark = pytest.mark.long

FORMS = [("onnx", True), ("onnx", False), ("torchscript", True), ("torchscript", False)]
INPUT = {
    True: "uint8 RGB images (N, 112, 112, 3), as they are",
    False: "float32 RGB images (N, 3, 112, 112), each number (0..255) less 127.5, times 1/128",
}


def nothing(*_):
    """Progress that nobody watches."""


def request(source, target, form, inside):
    return {
        "place": {"file": str(source)},
        "known": {},
        "target": str(target),
        "format": form,
        "preprocess": "inside" if inside else "card",
        "head": "drop",
    }


@pytest.fixture(scope="module")
def written(tiny, tmp_path_factory):
    """By format and preprocessing: the file and what was told."""
    folder = tmp_path_factory.mktemp("written")
    save(tiny, folder / "ours.safetensors")
    made = {}
    for form, inside in [*FORMS, ("safetensors", False)]:
        target = folder / f"{form}-{inside}.{form}"
        told = verbs.VERBS["export"](request(folder / "ours.safetensors", target, form, inside), nothing)
        made[form, inside] = target, told
    return made


def images(count, inside, seed=9):
    """uint8 images, and the same as the file takes them."""
    pixels = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)
    )
    fed = pixels if inside else (pixels.permute(0, 3, 1, 2).float() - 127.5) / 128
    return pixels, fed


def run(path, form, fed):
    if form == "onnx":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(["embeddings"], {"images": fed.numpy()})[0])
    with torch.inference_mode():
        return scripted(path)(fed)


def scripted(path, **options):
    with pytest.warns(DeprecationWarning):
        return torch.jit.load(str(path), **options)


@pytest.mark.parametrize(("form", "inside"), FORMS)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_it_computes_the_same_at_any_batch(written, tiny, form, inside, count):
    pixels, fed = images(count, inside)
    found = run(written[form, inside][0], form, fed)
    assert apart(found, of(tiny, pixels)) < 1e-4


def test_negative_control_another_input_gives_other_embeddings(written, tiny):
    pixels, fed = images(2, False)
    assert apart(run(written["onnx", False][0], "onnx", fed * 1.01), of(tiny, pixels)) > 1e-3


def test_safetensors_are_read_again(written, tiny):
    path, told = written["safetensors", False]
    again = open_model({"file": str(path)})
    assert again.facts == FACTS
    assert told["facts"] == msgspec.to_builtins(FACTS)
    for key, value in tiny.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[key], value)


@pytest.mark.parametrize(("form", "inside"), [*FORMS, ("safetensors", False)])
def test_what_is_told_and_what_is_left(written, form, inside):
    path, told = written[form, inside]
    assert sorted(told["differences"]) == [1, 7]
    assert max(told["differences"].values()) < 1e-4
    assert (told["parameters"], told["missing"], told["unexpected"]) == (330_080, [], [])
    assert not list(path.parent.glob(".*"))
    text = path.with_name(f"{path.name}.md").read_text()
    assert text == told["card"]
    assert INPUT[inside] in text


@pytest.mark.parametrize("inside", [True, False])
def test_the_facts_are_in_the_file(written, inside):
    proto = onnx.load(str(written["onnx", inside][0]))
    onnx.checker.check_model(proto, full_check=True)
    noted = {entry.key: entry.value for entry in proto.metadata_props}
    assert noted["input"] == INPUT[inside]
    assert msgspec.json.decode(noted["arcterm"], type=ModelFacts) == FACTS
    extra = {"arcterm": "", "input": ""}
    scripted(written["torchscript", inside][0], _extra_files=extra)
    assert extra["input"].decode() == INPUT[inside]
    assert json.loads(extra["arcterm"])["scores"][0]["far_threshold"] == 0.987
    (given,) = proto.graph.input
    assert (given.name, given.type.tensor_type.elem_type) == ("images", 2 if inside else 1)
    assert given.type.tensor_type.shape.dim[0].dim_param
    assert [output.name for output in proto.graph.output] == ["embeddings"]


def test_the_card(written):
    text = written["onnx", True][1]["card"]
    assert text.startswith("# onnx-True.onnx\n")
    for said in (
        "Backbone `tiny` (embedding_size=64 dropout=0.4): 64 numbers an image.",
        "| heldout | 60 | 0.9750 ± 0.0120 | 1.234 | 0.8750 | 0.987 |",
        "**Origin.** first/step-0000000100, step 100.",
        "| loss | arcface |",
        "Compared with PyTorch at batches of 1 and 7",
    ):
        assert said in text
    assert "milestones" not in text


def test_a_card_of_what_is_not_known():
    facts = ModelFacts(backbone="tiny", embedding_size=128)
    text = card.write(facts, "x.onnx", input_text="images", parity="none")
    for said in ("(defaults)", "Not verified.", "**Origin.** unknown.", "**Data.** unknown.", "\n\nUnknown."):
        assert said in text
    scored = msgspec.structs.replace(
        facts, scores=[msgspec.structs.replace(FACTS.scores[0], tar=None, far_threshold=None)]
    )
    assert "| 1.234 | – | – |" in card.write(scored, "x.onnx", input_text="", parity="")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda y: y + np.abs(y).max() * 1e-3, "is allowed, so it was not kept"),
        (lambda y: y * np.float32("nan"), "is allowed, so it was not kept"),
        (lambda y: y[:, :-1], r"gives \(1, 63\) for 1 images, PyTorch \(1, 64\)"),
        (lambda y: np.where(len(y) == 7, y[::-1], y), "embeddings of 7 images"),
    ],
)
def test_a_file_that_computes_something_else_is_refused_and_not_left(
    tiny, tmp_path, monkeypatch, wrong, said
):
    save(tiny, tmp_path / "ours.safetensors")
    real = writers._torchscript

    def worse(*arguments):
        runner = real(*arguments)
        return lambda images: wrong(runner(images))

    monkeypatch.setattr(writers, "_torchscript", worse)
    with pytest.raises(ArctermError, match=said):
        verbs.VERBS["export"](
            request(tmp_path / "ours.safetensors", tmp_path / "x.ts", "torchscript", True), nothing
        )
    assert [path.name for path in tmp_path.iterdir()] == ["ours.safetensors"]


def test_a_network_whose_embeddings_are_not_finite_is_not_written(tiny, tmp_path):
    import copy

    network = copy.deepcopy(tiny.network)
    with torch.no_grad():
        network.get_parameter("fc.bias")[0] = float("inf")
    with pytest.raises(ArctermError, match="embeddings are not finite"):
        writers.write(Model(FACTS, network), "torchscript", tmp_path / "x.ts", inside=True)


def test_a_batch_that_was_frozen_is_found_out(tiny):
    """A file that only takes the batch of its example is caught by the second size."""

    def frozen(images):
        if len(images) != 1:
            raise RuntimeError("expected 1 image")
        return tiny.network(torch.from_numpy(images)).detach().numpy()

    with pytest.raises(ArctermError, match="does not take 7 images: RuntimeError: expected 1 image"):
        writers.compare(tiny.network, frozen, lambda count: writers.example(FACTS, count, inside=False))


def test_weights_have_no_place_for_preprocessing(tiny, tmp_path):
    with pytest.raises(ArctermError, match="no graph to put preprocessing in"):
        writers.write(tiny, "safetensors", tmp_path / "x.safetensors", inside=True)


def test_class_weights_go_into_safetensors(tiny, tmp_path):
    shards = []
    for number, rows in enumerate((torch.full((2, 64), 1.0), torch.full((3, 64), 2.0))):
        path = tmp_path / f"head-{number}.safetensors"
        from safetensors.torch import save_file

        save_file({"weight": rows}, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        shards.append([str(path), 2 * number, 2 + 3 * number, digest])
    save(tiny, tmp_path / "backbone.safetensors")
    place = {
        "weights": str(tmp_path / "backbone.safetensors"),
        "facts": msgspec.to_builtins(FACTS),
        "head": shards[::-1],
    }
    target = tmp_path / "out.safetensors"
    asked = request("", target, "safetensors", False) | {"place": place, "head": "keep"}
    told = verbs.VERBS["export"](asked, nothing)
    assert told["facts"]["classes"] == 5
    assert load_file(target)["head.weight"][:, 0].tolist() == [1, 1, 2, 2, 2]
    assert open_model({"file": str(target)}).head.shape == (5, 64)
    shards[1][3] = "0" * 64
    with pytest.raises(DataError, match=r"head-1\.safetensors is damaged"):
        verbs.VERBS["export"](asked | {"target": str(tmp_path / "damaged.safetensors")}, nothing)
    dropped = verbs.VERBS["export"](
        request(target, tmp_path / "dropped.safetensors", "safetensors", False), nothing
    )
    assert dropped["facts"]["classes"] == 0
    with pytest.raises(DataError, match="holds no class weights"):
        verbs.VERBS["export"](
            request(tmp_path / "dropped.safetensors", tmp_path / "y.safetensors", "safetensors", False)
            | {"head": "keep"},
            nothing,
        )
    assert not (tmp_path / "y.safetensors").exists()


class Lost(nn.Module):
    """What no exporter can follow: its way depends on values."""

    def forward(self, x):
        return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))


def test_a_network_that_can_not_be_written_is_told(tmp_path):
    facts = ModelFacts(backbone="tiny", embedding_size=3)
    with pytest.raises(ArctermError, match="onnx can't hold 'tiny'"):
        writers.write(Model(facts, Lost()), "onnx", tmp_path / "x", inside=False)


class Switching(nn.Module):
    """Uses its second layer only in training."""

    def forward(self, x):
        return x.mean((2, 3)) if self.training else x.amax((2, 3))


def test_what_is_written_is_the_network_in_evaluation(tmp_path):
    facts = ModelFacts(backbone="tiny", embedding_size=3)
    network = Switching()
    assert network.training
    writers.write(Model(facts, network), "torchscript", tmp_path / "x.ts", inside=False)
    x = torch.rand(2, 3, 112, 112)
    assert torch.equal(scripted(tmp_path / "x.ts")(x), x.amax((2, 3)))
    assert network.training


@pytest.mark.parametrize("form", ["onnx", "torchscript", "safetensors", "npz", "import"])
def test_a_full_disk_is_said_and_leaves_nothing(tiny, tmp_path_factory, tmp_path, form):
    place = tmp_path_factory.mktemp("ours")
    save(tiny, place / "ours.safetensors")
    image = place / "face.png"
    image.write_bytes(encode_jpeg(np.zeros((112, 112, 3), np.uint8)))
    asked = request(place / "ours.safetensors", tmp_path / f"x.{form}", form, form == "onnx")
    verb = {"npz": "embed", "import": "import"}.get(form, "export")
    asked |= {"images": [str(image)], "resize": False, "flip": False} if form == "npz" else {}
    with little_room(), pytest.raises(DataError, match=r"x\.\w+ can't be written: File too large") as caught:
        verbs.VERBS[verb](asked, nothing)
    assert "free space" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_is_exported_has_the_mode_of_the_umask(written):
    """Safetensors makes private files, which nobody else can use."""
    umask = os.umask(0)
    os.umask(umask)
    files = [file for target, _ in written.values() for file in target.parent.iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o666 & ~umask}


def test_all_images_that_can_not_be_embedded_are_named_at_once(tiny, tmp_path):
    for name, data in (
        ("cut.jpg", b"\xff\xd8\xff"),
        ("hollow.jpg", b""),
        ("pointer.jpg", b"version https://git-lfs\n"),
    ):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "good.jpg").write_bytes(encode_jpeg(np.zeros((112, 112, 3), np.uint8)))
    files = [
        tmp_path / name for name in ("good.jpg", "cut.jpg", "hollow.jpg", *["good.jpg"] * 40, "pointer.jpg")
    ]
    with pytest.raises(
        DataError, match=r"3 of 44 images can't be embedded:\n.*cut.jpg.*\n.*hollow.jpg is an"
    ) as caught:
        embedding.embed(tiny, files, resize=False, flip=False, progress=nothing)
    assert "pointer.jpg is a Git LFS pointer" in caught.value.message and "git lfs pull" in caught.value.hint


@pytest.mark.parametrize(("form", "name"), [("onnx", "a.onnx"), ("torchscript", "a.ts")])
def test_planes_of_their_own_and_their_order_go_into_the_graph(tiny, pixels, tmp_path, form, name):
    facts = msgspec.structs.replace(
        FACTS, mean=(120.0, 110.0, 100.0), scale=(1 / 50, 1 / 60, 1 / 70), channels="bgr"
    )
    writers.write(Model(facts, tiny.network), form, tmp_path / name, inside=True)
    found = run(tmp_path / name, form, pixels)
    x = (pixels.float() - torch.tensor(facts.mean)) * torch.tensor(facts.scale)
    with torch.inference_mode():
        assert apart(found, tiny.network(x.flip(3).permute(0, 3, 1, 2))) < 1e-5
        assert apart(found, tiny.network(x.permute(0, 3, 1, 2))) > 1e-2
    said = writers.input_words(facts, False)
    assert said.startswith("float32 BGR images (N, 3, 112, 112), each number (0..255) less (120, 110, 100)")
