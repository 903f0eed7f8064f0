"""A model that goes on to be trained takes its images as its backbone declares."""

from __future__ import annotations

import msgspec
import pytest
import torch
from arcterm_registry import get

from arcterm.errors import ArctermError, DataError
from arcterm.export import model
from arcterm.export.model import Model
from arcterm.formats import modelfile
from arcterm.formats.modelfile import ModelFacts
from arcterm.verify.embed import normalize

from .conftest import apart, embedded, of
from .upstream import stirred

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("name", "scale"),
    [("tiny", 1 / 127.5), ("tiny", 1 / 128), ("y1", 1 / 127.5), ("y1", 0.017), ("vit_t", 1 / 128)],
)
def test_the_first_convolution_takes_up_the_scale(pixels, name, scale):
    declared = get("backbone", name)
    facts = ModelFacts(backbone=name, embedding_size=declared.embedding_size, scale=scale)
    found = Model(facts, stirred(model.build(facts)))
    before = of(found, pixels)
    adopted = model.adapt_input(found)
    assert (adopted.facts.mean, adopted.facts.scale) == (declared.preprocess.mean, declared.preprocess.scale)
    wanted = declared.preprocess
    assert apart(embedded(adopted.network, pixels, wanted.mean, wanted.scale), before) < 1e-4
    assert torch.equal(of(found, pixels), before)  # the other is left as it was
    if scale != wanted.scale:
        assert apart(embedded(found.network, pixels, wanted.mean, wanted.scale), before) > 1e-4


def test_another_mean_is_refused(tiny):
    found = Model(msgspec.structs.replace(tiny.facts, mean=0.0), tiny.network)
    with pytest.raises(DataError, match=r"takes images less 0, backbone 'tiny' images less 127\.5"):
        model.adapt_input(found)


FACTORIES = """
import torch
from arcterm_registry import Backbone, Preprocess
of = lambda factory: Backbone(summary="", factory=f"odd:{factory}", parameters=1, gmacs=1, embedding_size=3)
flat, none, wrong = of("make_flat"), of("make_none"), of("make_wrong")
def make_flat():
    return torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
def make_none():
    return "a network"
def make_wrong():
    raise KeyError("size")
"""


def test_backbones_of_strangers_that_can_not_be_used(distribution):
    distribution(
        "odd",
        entry_points="[arcterm.backbones]\nflat = odd:flat\nnone = odd:none\nwrong = odd:wrong\n",
        odd=FACTORIES,
    )
    facts = ModelFacts(backbone="flat", embedding_size=3, scale=0.01)
    with pytest.raises(DataError, match="does not begin with a convolution"):
        model.adapt_input(Model(facts, model.build(facts)))
    with pytest.raises(ArctermError, match="'none' gave str, not a torch module"):
        model.build(ModelFacts(backbone="none", embedding_size=3))
    with pytest.raises(ArctermError, match="'wrong' can't be made: KeyError: 'size'"):
        model.build(ModelFacts(backbone="wrong", embedding_size=3))


def fed(found: Model, pixels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return found.network(normalize(pixels, found.facts.preprocess))


def test_the_first_convolution_takes_up_each_planes_scale_and_the_order(tiny, pixels):
    facts = msgspec.structs.replace(tiny.facts, scale=(1 / 58, 1 / 57, 1 / 50), channels="bgr")
    found = Model(facts, tiny.network)
    before = fed(found, pixels)
    adopted = model.adapt_input(found)
    assert (adopted.facts.scale, adopted.facts.channels) == (1 / 128, "rgb")
    assert apart(fed(adopted, pixels), before) < 1e-4
    assert apart(fed(tiny, pixels), before) > 1e-2
    unlike = msgspec.structs.replace(facts, mean=(127.5, 127.5, 100.0))
    with pytest.raises(DataError, match=r"takes images less \(127\.5, 127\.5, 100\)"):
        model.adapt_input(Model(unlike, tiny.network))


def test_a_card_of_planes_is_read_again_and_refused_by_who_knows_one_number(tiny):
    facts = msgspec.structs.replace(tiny.facts, mean=(1.0, 2.0, 3.0), channels="bgr")
    read = msgspec.json.decode(modelfile.encode(facts), type=ModelFacts)
    assert (read.preprocess.planes, read.channels) == (facts.preprocess.planes, "bgr")
    assert isinstance(msgspec.json.decode(modelfile.encode(facts))["scale"], list)
    assert modelfile.encode(tiny.facts) == modelfile.encode(
        msgspec.structs.replace(tiny.facts, channels="rgb")
    )
