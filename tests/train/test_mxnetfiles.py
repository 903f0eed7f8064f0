"""MXNet's files beside checkpoints: 2018's rule, and what is in them."""

from __future__ import annotations

import msgspec
import pytest
import torch
from arcterm_registry import get
from safetensors.torch import load_file

from arcterm.export import mxnet
from arcterm.formats.mxnet import params, symbol
from arcterm.runs import checkpoints, store
from arcterm.runs.events import Message, MxnetFile
from arcterm.train import build, loop
from arcterm.train.mxnetfiles import is_worth_saving
from arcterm.train.world import World

from ..runs.conftest import config
from .test_loop import Dots, Heard

OPTIONS = {"multiplier": 0.125, "embedding_size": 32}


@pytest.mark.parametrize(
    ("rounds", "saves"),
    [
        ([], []),
        ([[]], [False]),
        ([[0.9, 0.9]], [False]),
        ([[0.99, 0.5]], [True]),  # the last set is at its best, and the first good enough
        ([[0.99, 0.5], [0.99, 0.5]], [True, True]),  # as good as ever is enough for the last
        ([[0.99, 0.5], [0.995, 0.4]], [True, False]),  # a new best of the first, below 0.998
        ([[0.99, 0.5], [0.998, 0.4]], [True, True]),
        ([[0.998, 0.5], [0.998, 0.4]], [True, False]),  # the first must be better than before
        ([[0.95, 0.9], [0.991, 0.8], [0.99, 0.9]], [False, False, True]),
        ([[0.998], [0.998], [0.997]], [True, True, False]),  # one set is the first and the last
    ],
)
def test_the_rule_of_2018(rounds, saves):
    assert [is_worth_saving(rounds[: n + 1]) for n in range(len(rounds))] == saves


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): Dots())

    def go(resume=None, **changes):
        settings = {
            "backbone": "m1", "backbone_options": get_options(), "loss": "softmax", "nproc": 1, "steps": 5,
            "batch_size": 4, "verify_every": 2, "mxnet_prefix": str(tmp_path / "models/m"), "epochs": 1,
            "mxnet_save": "every", "precision": "float32",
        }  # fmt: skip
        asked = config(**{**settings, **changes})
        run = resume or store.create(tmp_path / "runs", asked, label="x", argv=[], host="h")
        if resume:
            msgspec.structs.force_setattr(asked, "steps", asked.steps)
        (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
        heard = Heard()
        place = checkpoints.newest(run).path if resume else None
        assert loop.train(run, 1, asked, World(), heard, place).reason == "done"
        return run, heard

    return go


def get_options():
    declared = get("backbone", "m1")
    return {option.name: option.default for option in declared.options} | OPTIONS


@pytest.mark.long
def test_a_training_writes_what_its_checkpoint_holds_and_numbers_go_on_at_a_resume(train, tmp_path):
    run, heard = train()
    folder = tmp_path / "models"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["m-0001.params", "m-0002.params", "m-symbol.json"]  # the end at 5 is no round
    said = [event for event in heard if isinstance(event, MxnetFile)]
    assert [(event.step, event.round, event.path) for event in said] == [
        (2, 1, str(folder / "m-0001.params")),
        (4, 2, str(folder / "m-0002.params")),
    ]
    _, heard = train(resume=run, steps=6)
    assert [event.round for event in heard if isinstance(event, MxnetFile)] == [3]

    found, arrays = symbol.read(folder / "m-symbol.json"), params.read(folder / "m-0002.params")
    held = run.checkpoints / checkpoints.name_of(4)
    head = load_file(held / "head-00000-of-00001.safetensors")
    assert (arrays["arg:fc7_weight"] == head["weight"].numpy()).all()
    assert (arrays["arg:fc7_bias"] == head["bias"].numpy()).all()
    network, other = (get("backbone", "m1").make(**get_options()).eval() for _ in range(2))
    network.load_state_dict(load_file(held / "backbone.safetensors"))
    mxnet.load_into(other, found, arrays, (112, 112))
    images = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        assert torch.equal(network(images), other(images))


@pytest.mark.long
def test_what_cannot_be_written_is_said_and_the_training_goes_on(train, tmp_path):
    (tmp_path / "models").write_text("")
    _, heard = train(loss="arcface", steps=2)
    warnings = [event.text for event in heard if isinstance(event, Message) and event.level == "warning"]
    assert any("MXNet's files of step 2: " in text and "models" in text for text in warnings)
    assert not [event for event in heard if isinstance(event, MxnetFile)]
