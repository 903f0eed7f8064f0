"""The loop in this process: every way of computing trains, and a resumed run ends in the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from arcterm_registry.contracts import Record
from safetensors.torch import load_file

from arcterm.errors import TrainingError
from arcterm.runs import checkpoints, store
from arcterm.runs.events import Message, Phase, Step
from arcterm.train import build, evaluation, loop, precision
from arcterm.train.world import World

from ..runs.conftest import config


class Pairs:
    def __init__(self, images):
        self.images, self.same = images, np.arange(len(images) // 2) % 2 == 0


class Dots:
    """Eight people, each a pattern of their own with noise."""

    classes = 8

    def __init__(self):
        self.verification = {"dots": Pairs([self[i].image for i in range(40)])}

    def __len__(self):
        return 48

    def __getitem__(self, index):
        person, noise = index % 8, np.random.default_rng(index)
        pattern = np.random.default_rng(1000 + person).integers(40, 215, (14, 14, 3))
        image = np.kron(pattern, np.ones((8, 8, 1))) + noise.integers(-40, 40, (112, 112, 3))
        return Record(image.clip(0, 255).astype(np.uint8), person, f"dot {index}")


class Heard(list):
    """A journal that keeps what it is told."""

    def write(self, event):
        self.append(event)

    def sync(self):
        pass

    def flush(self):
        return True


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): Dots())

    def go(name, resume_from=None, **changes):
        settings = {
            "nproc": 1, "steps": 6, "epochs": 1, "batch_size": 8, "checkpoint_every": 3, "loss": "cosface",
            "precision": "float32",
        }  # fmt: skip
        asked = config(**{**settings, **changes})
        run = store.create(tmp_path / name, asked, label="x", argv=[], host="h")
        heard = Heard()
        (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
        resume = resume_from.checkpoints / checkpoints.name_of(3) if resume_from else None
        ended = loop.train(run, 1, asked, World(), heard, resume)
        assert ended.reason == "done"
        return run, heard

    return go


def weights(run, step=6):
    folder = run.checkpoints / checkpoints.name_of(step)
    return {f"{p.name}/{k}": v for p in sorted(folder.glob("*.safetensors")) for k, v in load_file(p).items()}


def losses(heard):
    return [float(event.loss) for event in heard if isinstance(event, Step)]


ADAMW = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.1, "warmup": 0.4, "power": 1.0, "clip": 0.5}
GROUPED = {
    "decay_on": "no-vectors", "head_lr_factor": 4.0, "head_decay": 0.02, "bn_momentum": 0.3,
    "sample_rate": 0.5, "loss": "softmax",
}  # fmt: skip

SCHEDULED = {
    "margin_schedule": "1:0.1,4:0.4",
    "scale_schedule": "2:16,2:64",
    "schedule": "cosine",
    "sampling": "balanced",
}


@pytest.mark.long
@pytest.mark.parametrize(
    "how",
    [
        *({}, ADAMW, {"gradient_checkpointing": True}, GROUPED, GROUPED | ADAMW, SCHEDULED),
        ADAMW | {"row_update": "backward"},
    ],
    ids=["sgd", "adamw", "recomputed", "grouped", "adamw-by-rows", "scheduled", "adamw-in-backward"],
)
def test_a_resumed_run_ends_in_the_same_bits(train, how):
    whole, told = train("whole", **how)
    parts, again = train("parts", resume_from=whole, **how)
    expected, found = weights(whole), weights(parts)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert losses(told)[3:] == losses(again)
    assert len(set(losses(told))) == 6
    if how is SCHEDULED:
        steps = [event for event in told if isinstance(event, Step)]
        assert [step.margin for step in steps] == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.4, 0.4])
        assert [step.scale for step in steps] == [16.0, 16.0, 64.0, 64.0, 64.0, 64.0]


@pytest.mark.long
def test_recomputing_changes_no_bit(train):
    plain, recomputed = train("plain")[0], train("recomputed", gradient_checkpointing=True)[0]
    for name, tensor in weights(plain).items():
        assert torch.equal(tensor, weights(recomputed)[name]), name


def test_clipping_limits_the_backbone_alone(train):
    """One step of plain SGD moves the backbone by lr × the gradient's norm, at most lr × clip."""
    how = {"steps": 1, "schedule": "poly", "momentum": 0.0, "weight_decay": 0.0, "lr": 0.1}
    start = dict(build.backbone(config(), torch.device("cpu")).named_parameters())
    moved = {}
    for clip in (0.0, 1e-3):
        ended = weights(train(f"clip{clip}", clip=clip, **how)[0], 1)
        moves = [ended[f"backbone.safetensors/{n}"] - p for n, p in start.items() if p.requires_grad]
        moved[clip] = torch.cat([m.detach().flatten() for m in moves]).double().norm().item()
        head = {n: w for n, w in ended.items() if n.startswith("head")}
        moved[clip, "head"] = head
    assert moved[0.0] > 1e-3
    assert moved[1e-3] == pytest.approx(1e-4, rel=1e-3)
    for name, tensor in moved[0.0, "head"].items():
        assert torch.equal(tensor, moved[1e-3, "head"][name])


@pytest.mark.parametrize("part", ["head", "backbone"])
def test_a_frozen_part_stays_as_it_was_drawn_and_the_other_learns(train, part):
    run, heard = train("frozen", freeze=part, steps=2)
    ended, start = weights(run, 2), build.trained(run.record.config, 8, World())
    head = torch.equal(ended["head-00000-of-00001.safetensors/weight"], start.head.weight)
    same = [
        torch.equal(ended[f"backbone.safetensors/{name}"], tensor)
        for name, tensor in start.backbone.state_dict().items()
    ]
    assert (head, all(same)) == (part == "head", part == "backbone")
    said = next(event.text for event in heard if isinstance(event, Message))
    frozen = next(words for words in said.split("; ") if "frozen" in words)
    assert frozen.startswith({"backbone": "backbone ", "head": "class weights of a rank "}[part])
    assert "decay" not in frozen
    assert losses(heard)[0] != losses(heard)[1]


LEARNING, SAVED = "learning.safetensors/", "backbone.safetensors/"


def test_the_average_is_verified_and_saved_beside_what_goes_on_learning(train, monkeypatch):
    seen = []
    plain = evaluation.embedder

    def spy(config, network, *rest, **how):
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return plain(config, network, *rest, **how)

    monkeypatch.setattr(evaluation, "embedder", spy)
    (run, told), (without, plainly) = train("averaged", ema=0.5), train("without")
    held, usual = weights(run), weights(without)
    assert losses(told) == losses(plainly)
    for name, tensor in seen[0].items():
        assert torch.equal(held[SAVED + name], tensor)
        assert torch.equal(held[LEARNING + name], usual[SAVED + name])
    assert not all(torch.equal(held[LEARNING + name], tensor) for name, tensor in seen[0].items())


@pytest.mark.long
def test_a_resume_goes_on_with_the_average_begins_it_or_ends_it(train):
    whole, told = train("averaged", ema=0.9)
    parts, again = train("resumed", resume_from=whole, ema=0.9)
    ours, theirs = weights(whole), weights(parts)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    assert losses(told)[3:] == losses(again)
    ended = train("ended", resume_from=whole)[0]
    plain = weights(ended)
    assert all(torch.equal(ours[name.replace(SAVED, LEARNING)], tensor) for name, tensor in plain.items())
    begun = weights(train("begun", resume_from=train("plain")[0], ema=0.9)[0])
    assert all(torch.equal(begun[name.replace(SAVED, LEARNING)], tensor) for name, tensor in plain.items())
    assert any(not torch.equal(begun[name], tensor) for name, tensor in plain.items())


def test_bfloat16_trains_close_to_float32_and_says_where_it_is_slow(train, monkeypatch):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda: False)
    told = [train(p, precision=p, steps=3, lr=0.02)[1] for p in ("float32", "bfloat16")]
    exact, rounded = map(losses, told)
    assert exact[0] != rounded[0]
    assert exact[0] == pytest.approx(rounded[0], rel=0.01)
    assert exact == pytest.approx(rounded, rel=0.1)
    assert [[m.level for m in heard if isinstance(m, Message)] for heard in told] == [[], ["warning"]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_run_resumes_in_the_same_bits_and_says_what_it_does(train):
    how = {"compile": True, "gradient_checkpointing": True, "backbone_options": {"dropout": 0.4}}
    whole, told = train("whole", **how)
    phases = [event for event in told if isinstance(event, Phase)]
    place = [phase.phase for phase in phases].index("compiling")
    assert "tiny" in phases[place].detail
    assert phases[place + 1].phase == "training"
    parts, again = train("parts", resume_from=whole, **how)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(parts)[name]), name
    assert losses(told)[3:] == losses(again)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_run_learns_what_an_eager_one_does(train):
    """Without dropout, whose numbers the compiler draws in another way."""
    how = {"backbone_options": {"dropout": 0.0}, "steps": 3}
    eager, compiled = (losses(train(str(c), compile=c, **how)[1]) for c in (False, True))
    assert eager == pytest.approx(compiled, rel=1e-3)


def test_what_can_not_be_compiled_is_told_with_the_way_out(train, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(TrainingError, match=r"backbone 'tiny' can't be compiled.*no compiler") as error:
        train("failing", compile=True)
    assert "--set compile=no" in error.value.hint


def test_verification_folds_and_leaves_the_backbone_in_training(train, monkeypatch):
    seen = []

    def spy(network, size, note):
        seen.append((network.training, size))
        return plain(network, size, note)

    plain = evaluation.fold_norms
    monkeypatch.setattr(evaluation, "fold_norms", spy)
    _, heard = train("verified", verify_every=3)
    assert seen == [(True, (112, 112))] * 2
    assert not [event for event in heard if isinstance(event, Message)]
