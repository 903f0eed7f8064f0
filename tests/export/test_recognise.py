"""A file of weights is taken for the backbone that it is of, and for no other."""

from __future__ import annotations

import pytest
import torch
from arcterm_registry import get, names

from arcterm.errors import DataError
from arcterm.export import layers, model, recognise
from arcterm.export.model import Model
from arcterm.formats.modelfile import ModelFacts

from .upstream import Mbf

pytestmark = pytest.mark.long

NAMES = names("backbone")
SMALL = [name for name in NAMES if get("backbone", name).gmacs < 0.3]


@pytest.fixture(autouse=True, scope="module")
def built_once():
    """Networks without values are slow to build and never changed."""
    made, original = {}, recognise._made

    def once(name, declared, options):
        key = name, *sorted(options.items())
        if key not in made:
            made[key] = list(original(name, declared, options))
        return iter(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognise, "_made", once)
        yield


def made(name, embedding_size=None):
    """A network without values."""
    declared = get("backbone", name)
    size = embedding_size or declared.embedding_size
    (candidate,) = recognise._made(name, declared, {"embedding_size": size})
    return candidate.network


def find(state, among=NAMES, **given):
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    return recognise.find(shapes, layers.group_layers(state), among, given)


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_by_its_names(name):
    match = find(made(name).state_dict())
    assert (match.candidate.name, match.by_name) == (name, True)
    options = get("backbone", name).options
    assert match.candidate.options == {option.name: option.default for option in options}


@pytest.mark.parametrize("name", [*SMALL, "r18", "m2", "s20"])
def test_backbones_by_their_layers_alone(name):
    """Arrays under names of nobody's, in the order in which the layers are used."""
    network = made(name, embedding_size=96)
    used = layers.in_order(network, get("backbone", name).input_size)
    state = {
        f"thing{number}.{key}": value
        for number, (_, module) in enumerate(used)
        for key, value in module.state_dict().items()
    }
    match = find(state)
    assert (match.candidate.name, match.by_name) == (name, False)
    assert match.candidate.options["embedding_size"] == 96


@pytest.mark.parametrize(
    ("name", "size"), [*((name, size) for name in SMALL for size in (64, 256)), ("r18", 64)]
)
def test_a_plain_file_of_ours_keeps_weights_and_size(tmp_path, name, size):
    network = get("backbone", name).make(embedding_size=size)
    torch.save(network.state_dict(), tmp_path / "x.pt")
    found = model.open_model({"file": str(tmp_path / "x.pt")})
    assert (found.facts.backbone, found.facts.embedding_size) == (name, size)
    assert found.facts.options["embedding_size"] == size
    for (key, ours), theirs in zip(found.network.named_parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, theirs), key


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_model_is_read_as_it_was(tmp_path, name):
    declared = get("backbone", name)
    facts = ModelFacts(backbone=name, options={"embedding_size": 64}, embedding_size=64, classes=3)
    whole = Model(facts, model.build(facts), torch.ones(3, 64))
    model.save(whole, tmp_path / "x.safetensors")
    read = model.open_model({"file": str(tmp_path / "x.safetensors")})
    assert (read.facts, declared.input_size) == (facts, facts.input_size)
    assert not read.network.training
    assert torch.equal(read.head, whole.head)
    assert read.network.state_dict().keys() == whole.network.state_dict().keys()
    for key, value in whole.network.state_dict().items():
        assert torch.equal(read.network.state_dict()[key], value), key


def without(state, part):
    return {key: value for key, value in state.items() if not key.startswith(part)}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("r18", lambda s: without(s, "layer3.1.conv2."), r"of r18 .*; layer3\.1\.conv2\.weight is not there"),
        ("r18", lambda s: without(s, "bn1."), r"of r18 .*; bn1\.weight is not there"),
        (
            "r18",
            lambda s: s | {"layer3.2.conv1.weight": torch.ones(1)},
            r"r18 .*; .* has layer3\.2\.conv",
        ),
        (
            "r18",
            lambda s: s | {"layer2.0.conv1.weight": torch.ones(128, 64, 5, 5)},
            r"of r18 .*; layer2\.0\.conv1\.weight is \(128, 64, 5, 5\) in the file, \(128, 64, 3, 3\) there",
        ),
        ("r18", lambda s: s | {"bn2.running_var": torch.ones(511)}, r"r18 .*; bn2\.running_var is \(511,\)"),
        ("r50", lambda s: without(s, "layer3.13."), r"of r50 .*; layer3\.13\.bn1\.weight is not there"),
    ],
)
def test_one_layer_too_few_too_many_or_of_another_shape(name, change, said):
    with pytest.raises(DataError, match=said):
        find(change(dict(made(name).state_dict())), ["tiny", "r18", "r50"], unit=3, output="E")


def test_a_unit_too_few_is_closest_to_the_usual_network():
    with pytest.raises(DataError, match=r"of r18 .* unit=3 .*; layer2\.1\.bn1\.weight is not there"):
        find(without(made("r18").state_dict(), "layer2.1."), ["r18"])


@pytest.mark.parametrize(("scale", "counts"), [(2, (1, 4, 6, 2)), (4, (2, 8, 12, 4))])
def test_mobilefacenet_of_arcface_torch_in_both_sizes(scale, counts):
    with torch.device("meta"):
        state = Mbf(scale, counts).state_dict()
    match = find(state)
    assert (match.candidate.name, match.by_name, match.candidate.options["scale"]) == ("y1", False, scale)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a[:5] + a[6:], r"6 of the file is PReLU thing6 \(64,\), there batch norm layer1\.0\.bn2"),
        (lambda a: [*a, a[-1]], r"63 of the file is batch norm again\.thing61 \(512,\), there nothing more"),
        (lambda a: [*a[:-2], a[-1]], r"61 of the file is batch norm thing61 .*, there linear fc"),
    ],
)
def test_the_layer_is_named_where_names_say_nothing(change, said):
    used = layers.in_order(made("r18"), (112, 112))
    arrays = [(f"thing{number}", module.state_dict()) for number, (_, module) in enumerate(used)]
    state = {
        f"{'again.' * (place == 62)}{name}.{key}": value
        for place, (name, held) in enumerate(change(arrays))
        for key, value in held.items()
    }
    with pytest.raises(DataError, match=said):
        find(state, ["tiny", "r18"], unit=3, output="E")


def test_what_stands_beside_a_network_is_told_and_left_out(tiny, import_):
    state = dict(tiny.network.state_dict()) | {"matcher.weight": torch.ones(64)}
    found = import_(state, backbone="tiny")
    assert (found.facts.backbone, found.fit.unexpected) == ("tiny", ["matcher.weight"])
    assert found.facts.embedding_size == 64


@pytest.mark.parametrize(
    ("held", "wanted"), [("r34", "r18"), ("r18", "r34"), ("tiny", "r18"), ("s36", "s20")]
)
def test_a_backbone_that_is_named_must_fit(held, wanted):
    with pytest.raises(DataError, match=f"those of {wanted} "):
        find(made(held).state_dict(), [wanted])


def test_options_that_are_given_are_tried(import_):
    state = get("backbone", "tiny").make(embedding_size=64).state_dict()
    found = import_(state, backbone="tiny", options={"dropout": "0.1"})
    assert found.facts.options == {"embedding_size": 64, "dropout": 0.1}
    with pytest.raises(DataError, match=r"of tiny embedding_size=128 dropout=0\.4"):
        import_(state, options={"embedding_size": "128"}, backbone="tiny")


def test_a_broken_backbone_of_a_stranger_is_passed_over(distribution):
    distribution(
        "strange",
        entry_points="[arcterm.backbones]\nbroken = strange:gone\nraises = strange:raises\n",
        strange="""
from arcterm_registry import Backbone
raises = Backbone(summary="raises", factory="strange:factory", parameters=559520, gmacs=0.1)
def factory():
    raise RuntimeError("no")
""",
    )
    assert {"broken", "raises"} <= set(names("backbone"))
    assert find(made("tiny").state_dict(), names("backbone")).candidate.name == "tiny"
