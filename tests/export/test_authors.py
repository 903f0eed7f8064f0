"""Each author's file computes what his code computes: units, eps, colours and scale are his."""

from __future__ import annotations

import argparse
import collections
import functools
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from arcterm.errors import DataError
from arcterm.export import model
from arcterm.verify.embed import normalize

from .conftest import apart, embedded
from .upstream import Adaface, Arcface, Evolve, Foamliu, stirred

pytestmark = pytest.mark.long

CLOSE = 1e-4
HALVED = (127.5, 1 / 127.5)
HEAD = torch.arange(5 * 512.0).reshape(5, 512)


def of(found, pixels):
    with torch.inference_mode():
        return found.network(normalize(pixels, found.facts.preprocess))


def check(found, network, pixels, fed, order="RGB"):
    """The same embeddings, and others by the network when it is fed in any other way."""
    ways = {(feed, turn) for feed in (HALVED, (0.0, 1 / 255), (127.5, 1 / 128)) for turn in ("RGB", "BGR")}
    assert apart(of(found, pixels), embedded(network, pixels, *fed, order)) < CLOSE
    for feed, turn in ways - {(fed, order)}:
        assert apart(of(found, pixels), embedded(network, pixels, *feed, turn)) > 3 * CLOSE


@pytest.fixture(scope="module")
def arcface():
    return stirred(Arcface())


@pytest.fixture(scope="module")
def ada():
    return stirred(Adaface())


@pytest.fixture(scope="module")
def mag(arcface):
    """MagFace's IResNet: the norms add 2e-5."""
    network = stirred(Arcface())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eps = 2e-5
    return network


@pytest.mark.parametrize(
    ("features", "head"),
    [
        ("features.module.", "fc.weight"),
        ("module.features.", "module.fc.weight"),
        ("features.", "fc.weight"),
    ],
)
def test_magface(mag, pixels, import_, features, head):
    state = {features + key: value for key, value in mag.state_dict().items()} | {head: HEAD.T}
    saved = {"epoch": 25, "arch": "iresnet18", "state_dict": state, "best_prec1": 0.0, "optimizer": {}}
    found = import_(saved, "magface_epoch_00025.pth.tar")
    assert (found.facts.backbone, found.facts.classes, found.fit.unexpected) == ("r18", 5, [])
    assert torch.equal(found.head, HEAD)
    assert "MagFace" in found.facts.input_basis
    check(found, mag, pixels, (0.0, 1 / 255), "BGR")


def test_magface_without_its_head(mag, import_):
    found = import_({"state_dict": {"features.module." + k: v for k, v in mag.state_dict().items()}})
    assert (found.facts.classes, found.head) == (0, None)


@pytest.mark.parametrize(("excite", "prefix"), [(False, "module."), (True, "")])
def test_evolve(pixels, import_, excite, prefix):
    network = stirred(Evolve(excite))
    found = import_({prefix + key: value for key, value in network.state_dict().items()})
    assert (found.facts.backbone, found.facts.options["se"]) == ("r18", excite)
    assert (found.fit.missing, found.fit.unexpected) == ([], [])
    assert "face.evoLVe" in found.facts.input_basis
    check(found, network, pixels, HALVED)
    with torch.no_grad():
        if excite:
            found.network.get_parameter("layer3.1.se.prelu.weight").fill_(0.25)
        else:
            found.network.get_buffer("layer3.1.bn2.running_var").fill_(1.1)
    assert apart(of(found, pixels), embedded(network, pixels, *HALVED)) > CLOSE


@pytest.mark.parametrize(
    ("file", "config", "order"),
    [
        (None, None, "RGB"),
        ("model.yaml", "input_size: [3, 112, 112]\ncolor_space: 'BGR'\nname: ir18\n", "BGR"),
        ("model.yaml", "color_space: 'RGB'", "RGB"),
        ("config.json", '{"conf": {"color_space": "BGR"}}', "BGR"),
    ],
)
@pytest.mark.parametrize("prefix", ["net.", "model.net."])
def test_cvlface_by_its_own_colours(ada, pixels, import_, tmp_path, prefix, file, config, order):
    if file:
        (tmp_path / file).write_text(config)
    found = import_({prefix + key: value for key, value in ada.state_dict().items()}, "model.pt")
    assert ("guess" in found.facts.input_basis) is (file is None)
    check(found, ada, pixels, HALVED, order)


def test_adaface_is_fed_as_its_own_code_does_whatever_lies_beside_it(ada, pixels, import_, tmp_path):
    (tmp_path / "model.yaml").write_text("color_space: 'RGB'")
    found = import_({"state_dict": {"model." + key: value for key, value in ada.state_dict().items()}})
    check(found, ada, pixels, HALVED, "BGR")
    assert "AdaFace" in found.facts.input_basis
    assert "turned around" in found.facts.input_basis
    given = import_(ada.state_dict(), channels="rgb", mean=0.0, scale=1 / 255)
    check(given, ada, pixels, (0.0, 1 / 255))
    assert given.facts.input_basis == ""


@pytest.mark.parametrize("prefix", ["module."])
def test_foamliu(pixels, import_, prefix):
    network = stirred(Foamliu())
    found = import_({prefix + key: value for key, value in network.state_dict().items()}, "mobilefacenet.pt")
    assert (found.facts.backbone, found.facts.options["style"]) == ("y1", "foamliu")
    assert (found.facts.embedding_size, found.fit.missing) == (128, [])
    assert "foamliu" in found.facts.input_basis
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        assert apart(of(found, pixels), network(x)) < CLOSE
        assert apart(of(found, pixels), network(x.flip(1))) > 3 * CLOSE
        for layer in network.modules():
            if isinstance(layer, nn.Hardtanh):
                layer.max_val = 1e9
        assert apart(of(found, pixels), network(x)) > 3 * CLOSE
    adopted = model.adapt_input  # another number is subtracted than the backbone's
    with pytest.raises(DataError, match=r"takes images less \(123\.675, 116\.28, 103\.53\)"):
        adopted(found)


@pytest.mark.parametrize(
    ("arrays", "shown"),
    [
        ({"conv4_1.weight": (2, 32, 1, 1), "conv4_2.weight": (4, 32, 1, 1)}, "conv4_2.weight"),
        ({"module.BboxHead.0.conv1x1.weight": (8, 64, 1, 1)}, "module.BboxHead.0.conv1x1.weight"),
        ({"bbox_head.multi_level_cls.0.weight": (1, 64, 1, 1)}, "bbox_head.multi_level_cls.0.weight"),
    ],
)
def test_a_detectors_file_is_called_one(import_, arrays, shown):
    with pytest.raises(DataError) as raised:
        import_({"state_dict": {name: torch.zeros(shape) for name, shape in arrays.items()}})
    assert f"is a detector's file, not a recognition model: it has '{shown}'" in raised.value.message
    assert "arcterm align" in raised.value.hint


def test_a_network_with_such_names_and_no_boxes_is_none(import_):
    with pytest.raises(DataError, match="no known backbone"):
        import_(
            {"conv4_2.weight": torch.zeros(512, 512, 3, 3), "conv5_2.weight": torch.zeros(512, 512, 3, 3)}
        )


def shard(arcface, weight):
    return {
        "epoch": 3,
        "global_step": 99,
        "state_dict_backbone": arcface.state_dict(),
        "state_dict_softmax_fc": {"weight": weight},
        "state_optimizer": {"state": {}, "param_groups": []},
    }


def test_class_weights_of_all_ranks_of_arcface_torch(arcface, pixels, import_, tmp_path):
    for rank, rows in ((1, HEAD[2:4]), (2, HEAD[4:])):
        torch.save(shard(arcface, rows.half()), tmp_path / f"checkpoint_gpu_{rank}.pt")
    found = import_(shard(arcface, HEAD[:2]), "checkpoint_gpu_0.pt")
    assert found.facts.classes == 5
    assert torch.equal(found.head, HEAD.half().float())
    check(found, arcface, pixels, HALVED)
    other = model.open_model({"file": str(tmp_path / "checkpoint_gpu_2.pt")})
    assert torch.equal(other.head, found.head)
    (tmp_path / "checkpoint_gpu_1.pt").unlink()
    for rank in (0, 2):
        alone = model.open_model({"file": str(tmp_path / f"checkpoint_gpu_{rank}.pt")})
        assert alone.head is None
        assert "not beside it: checkpoint_gpu_1.pt" in alone.headless


def test_shards_that_are_no_equal_parts_are_no_head(arcface, import_, tmp_path):
    torch.save(shard(arcface, HEAD[1:]), tmp_path / "checkpoint_gpu_1.pt")
    assert import_(shard(arcface, HEAD[:1]), "checkpoint_gpu_0.pt").head is None


@pytest.fixture
def foreign(monkeypatch):
    """A module of a stranger's, gone when the file is read."""
    module = types.ModuleType("strange")
    monkeypatch.setitem(sys.modules, "strange", module)

    def make(name, *bases, **held):
        kind = type(name, bases, held | {"__module__": "strange"})
        setattr(module, name, kind)
        return kind

    return make


def test_objects_beside_the_weights_are_inert(tiny, import_, foreign):
    calls = []
    foreign.made = foreign("Called", __init__=lambda self, *a: calls.append(a))
    loud = foreign("Loud", __reduce__=lambda self: (foreign.made, ("x",)))
    config = foreign("Config", dict)(a=1)
    config.nested = argparse.Namespace(lr=0.1)
    slotted = foreign("Slotted", __slots__=("a",))()
    slotted.a = 1
    saved = {
        "state_dict": {"model." + key: value for key, value in tiny.network.state_dict().items()},
        "hyper_parameters": argparse.Namespace(arch="tiny", inner=config),
        "callbacks": {foreign("Checkpoint"): {"best": 1.0}},
        "cfg": config,
        "paths": {Path("/a"): foreign("Paths", list)([Path("/b")])},
        "best": np.float64(0.5),
        "queue": collections.deque([1, slotted], maxlen=3),
        "loud": loud(),
        "many": {1, 2, frozenset([3])},
        "schedule": functools.partial(min, 1),
        "defaults": collections.defaultdict(list, a=[1]),
    }
    for number, (key, value) in enumerate(saved.items()):
        found = import_({"state_dict": saved["state_dict"], key: value}, f"epoch={number}.ckpt")
        assert found.facts.backbone == "tiny"
    assert import_(saved).facts.backbone == "tiny"
    assert calls == []
    left = torch.serialization.get_safe_globals()
    assert not [each for each in left if isinstance(each, tuple)]  # what is given with a name


def test_negative_control_an_object_is_made_by_who_trusts_the_file(tmp_path, foreign):
    calls = []
    foreign.made = foreign("Called", __init__=lambda self, *a: calls.append(a))
    loud = foreign("Loud", __reduce__=lambda self: (foreign.made, ("x",)))
    torch.save({"loud": loud()}, tmp_path / "x.pt")
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert calls == [("x",)]


@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: {"model": n, "epoch": 1}, nn.DataParallel])
def test_a_network_that_was_saved_whole(tiny, pixels, import_, wrap):
    found = import_(wrap(tiny.network))
    assert found.facts.backbone == "tiny"
    assert apart(of(found, pixels), embedded(tiny.network, pixels, *HALVED)) < CLOSE


def test_an_object_that_holds_no_network_is_named(import_):
    with pytest.raises(DataError, match=r"holds argparse\.Namespace, no state dict"):
        import_(argparse.Namespace(lr=1))


@pytest.mark.parametrize("name", ["model", "weights.bin", "model_best.pth.tar", "a.onnx", "a.safetensors"])
def test_the_ending_says_nothing(tiny, import_, name):
    assert import_(tiny.network.state_dict(), name).facts.backbone == "tiny"


def test_messages_speak_the_files_names(import_):
    state = {"module." + key: value for key, value in stirred(Evolve(False)).state_dict().items()}
    found = import_(state | {"module.more.weight": torch.ones(7)}, backbone="r18")
    assert found.fit.unexpected == ["module.more.weight"]
    del state["module.body.3.res_layer.3.weight"]
    with pytest.raises(DataError, match=r"module\.body\.3\.res_layer\.3\.weight is not there in the file"):
        import_(state, backbone="r18")
