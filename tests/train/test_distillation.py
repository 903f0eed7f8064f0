"""A teacher: its distance against numpy's, where gradients go, what is weighed, and resumes to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from arcterm_registry import get
from torch import nn

from arcterm.errors import ArctermError, ConfigError, DataError
from arcterm.export import model
from arcterm.export.model import Model
from arcterm.formats.modelfile import ModelFacts
from arcterm.launch import teacher as teachers
from arcterm.runs import checkpoints, store
from arcterm.runs.events import Step
from arcterm.train import build, loop
from arcterm.train.distillation import Teacher
from arcterm.train.world import World
from arcterm.verify.embed import normalize

from ..runs.conftest import config
from .test_loop import Dots, Heard, weights

SIZE = 32
OPTIONS = {"embedding_size": SIZE, "dropout": 0.0}


def keep(path: Path, seed: int = 7, **changes: object) -> Path:
    """Write a model file of `tiny` with random weights."""
    declared = get("backbone", "tiny")
    facts = ModelFacts(
        backbone="tiny", options=OPTIONS, embedding_size=SIZE,
        input_size=declared.input_size, mean=declared.preprocess.mean, scale=declared.preprocess.scale,
        channels=declared.preprocess.channels, source="a teacher", **changes,
    )  # fmt: skip
    torch.manual_seed(seed)
    model.save(Model(facts, model.build(facts)), path)
    return path


@pytest.fixture
def file(tmp_path):
    return keep(tmp_path / "teacher.safetensors")


@pytest.fixture
def train(tmp_path, file, monkeypatch):
    monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): Dots())

    def go(name, resume_from=None, **changes):
        settings = {
            "nproc": 1, "steps": 6, "epochs": 1, "batch_size": 8, "checkpoint_every": 3, "loss": "cosface",
            "precision": "float32", "teacher": str(file), "backbone_options": OPTIONS,
        }  # fmt: skip
        asked = config(**{**settings, **changes})
        run = store.create(tmp_path / name, asked, label="x", argv=[], host="h")
        heard = Heard()
        (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
        place = resume_from.checkpoints / checkpoints.name_of(3) if resume_from else None
        assert loop.train(run, 1, asked, World(), heard, place).reason == "done"
        return run, [event for event in heard if isinstance(event, Step)]

    return go


def test_the_distance_is_numpys_and_its_gradient_reaches_the_student_alone(file):
    taught = Teacher.load(config(teacher=str(file), precision="float32"), torch.device("cpu"))
    images = torch.randint(256, (4, 112, 112, 3), dtype=torch.uint8)
    student = torch.randn(4, SIZE, requires_grad=True)
    distance = taught.distance(images, student)
    distance.backward()

    facts = model.modelfile.read_facts(file)
    network = model.load(file, facts).network
    with torch.no_grad():
        wanted = network(normalize(images, facts.preprocess)).double().numpy()
    own = student.detach().double().numpy()
    unit, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (own, wanted))
    cosine = (unit * other).sum(1)
    assert float(distance.detach()) == pytest.approx(1 - cosine.mean(), abs=1e-5)
    # d(1 - cos)/de = (cos · unit - other) / ‖e‖ / B
    expected = (cosine[:, None] * unit - other) / np.linalg.norm(own, axis=1, keepdims=True) / 4
    np.testing.assert_allclose(student.grad.numpy(), expected, atol=1e-6)
    assert not any(p.requires_grad for p in taught.network.parameters())


def test_losses_are_weighed(file):
    asked = config(teacher=str(file), teacher_weight=3.0, loss_weight=0.5)
    combined = Teacher.load(asked, torch.device("cpu")).combine(torch.tensor(4.0), torch.tensor(0.25))
    assert float(combined) == 0.5 * 4 + 3 * 0.25


@pytest.mark.long
def test_a_taught_run_nears_its_teacher_and_resumes_in_the_same_bits(train):
    whole, told = train("whole")
    parts, again = train("parts", resume_from=whole)
    expected, found = weights(whole), weights(parts)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert [s.teacher for s in told][3:] == [s.teacher for s in again]
    assert told[-1].teacher < told[0].teacher - 0.02


@pytest.mark.long
def test_another_teacher_is_another_training(train, tmp_path):
    """Otherwise equal runs would say nothing about the teacher."""
    whole = weights(train("whole", steps=3)[0], 3)
    other = weights(train("other", steps=3, teacher=str(keep(tmp_path / "o.safetensors", 8)))[0], 3)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in whole.items())


@pytest.mark.long
def test_the_teacher_alone_leaves_the_class_weights_where_they_are(train):
    run, told = train("alone", loss_weight=0.0, weight_decay=0.0)
    before, after = weights(run, 3), weights(run)
    head = next(name for name in before if name.startswith("head") and name.endswith("/weight"))
    assert torch.equal(before[head], after[head])
    assert all(math.isfinite(s.loss) for s in told)
    assert told[-1].teacher < told[0].teacher - 0.05


def test_a_teacher_that_is_gone_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.safetensors are not there"):
        Teacher.load(config(teacher=str(tmp_path / "gone.safetensors")), torch.device("cpu"))


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ConfigError, match="nothing to learn from") as error:
        config(loss_weight=0.0)
    assert "--set teacher=" in error.value.hint


@pytest.mark.parametrize(
    ("backbone", "options", "what"),
    [
        ("tiny", {"embedding_size": 128}, "embeddings of 32 numbers, the backbone of 128"),
        ("r50", {}, "embeddings of 32 numbers, the backbone of 512"),
    ],
)
def test_embeddings_of_another_size_are_refused_before_anything_is_copied(
    file, tmp_path, backbone, options, what
):
    with pytest.raises(ConfigError, match=what):
        teachers.find(str(file), tmp_path / "runs", get("backbone", backbone), options)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ArctermError, match=r"there is no file .*nothing\.pt"):
        teachers.find(str(tmp_path / "nothing.pt"), tmp_path, get("backbone", "tiny"), {})


@pytest.mark.long
def test_a_teacher_is_copied_so_that_a_resume_finds_it(file, tmp_path):
    found = teachers.find(str(file), tmp_path / "runs", get("backbone", "tiny"), {"embedding_size": SIZE})
    file.unlink()
    assert found.path.parent == tmp_path / "runs" / ".models"
    assert isinstance(Teacher.load(config(teacher=str(found.path)), torch.device("cpu")).network, nn.Module)
