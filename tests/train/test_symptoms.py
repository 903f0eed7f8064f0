"""Each symptom of a training is named when it can be seen, once an episode; healthy ones are left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from arcterm.runs.events import Step
from arcterm.train.guards.finite import _alike
from arcterm.train.guards.symptoms import LOOK_EVERY, Looks, Symptoms

STEPS = 1000
CLASSES = 100
NAMES = ("loss spike", "diverges", "learning rate", "loss has been", "guessing", "collapses", "no gradient")


class Series:
    """A made-up training: the numbers of each step are functions of it."""

    def __init__(self, loss, accuracy=None, lr=None, alike=None, gradient=None, active=None, steps=STEPS):
        random = np.random.default_rng(0)
        noise = random.standard_normal(STEPS + 1)
        self.steps = steps
        self.loss = lambda step: loss(step) * (1 + 0.05 * noise[step]) if loss(step) != 5 else 5.0
        self.accuracy = accuracy or (lambda step: min(0.99, step / 400))
        self.lr = lr or (lambda step: 0.1 * (1 - step / (STEPS + 1)) ** 2)
        self.alike = alike or (lambda step: 0.9 * math.exp(-step / 50))
        self.gradient = gradient or (lambda step: 0.1)
        self.active = active

    def named(self, chance=1 / CLASSES):
        """(step, text) of all that is named."""
        symptoms, found = Symptoms(STEPS, 0.1, chance), []
        for step in range(1, self.steps + 1):
            event = Step(
                step=step, epoch=1 + step // 200, loss=self.loss(step), accuracy=self.accuracy(step),
                angle=0.0, lr=self.lr(step), images_per_second=1.0, samples=step, data_wait=0.0,
                active=self.active,
            )  # fmt: skip
            looks = Looks(self.alike(step), self.gradient(step)) if step % LOOK_EVERY == 0 else None
            found += [(step, text) for text in symptoms.step(event, looks)]
        return found


def falling(step):
    return 30 * math.exp(-step / 150) + 0.2


def guessing(step):
    return 30.0


SICK = {
    "loss spike": (Series(lambda s: 50 * falling(s) if s == 500 else falling(s)), 500, 500),
    "diverges": (Series(lambda s: falling(s) if s < 400 else falling(400) * 1.02 ** (s - 400)), 450, 700),
    "learning rate": (Series(falling, lr=lambda s: 0.1 if s < 300 else 1e-9), 300, 300),
    "loss has been": (Series(lambda s: falling(s) if s < 300 else 5), 360, 370),
    "guessing": (Series(guessing, accuracy=lambda s: 0.011), 300, 320),
    "collapses": (Series(falling, alike=lambda s: 0.1 if s < 500 else 0.995), 500, 540),
    "no gradient": (Series(falling, gradient=lambda s: 0.0 if s >= 500 else 0.1), 500, 540),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_once_and_alone(name):
    series, first, last = SICK[name]
    said = series.named()
    assert [word for _, text in said for word in NAMES if word in text] == [name], said
    assert first <= said[0][0] <= last


HEALTHY = {
    "it learns": Series(falling),
    "it learns at once": Series(lambda s: 30 * 0.9**s + 1e-9),
    "the rate falls in steps": Series(lambda s: 20.0 if s < 300 else 8.0 if s < 600 else 5.5),
    "a margin grows": Series(lambda s: 12 - 6 * math.exp(-s / 50) * (s < 100) - 4 * (s > 600)),
    "it starts with all alike": Series(falling, alike=lambda s: 0.999 if s < 200 else 0.3),
    "guesses at first": Series(
        lambda s: 30.0 if s < 250 else 10.0, accuracy=lambda s: 0.01 if s < 250 else 0.4
    ),
    "slowly": Series(lambda s: 30 - s / 60, accuracy=lambda s: 0.01 + s / 20_000),
    "it is done": Series(lambda s: 0.0, accuracy=lambda s: 1.0, gradient=lambda s: 0.0),
    "no triplet is left": Series(lambda s: 0.0, active=0.0, gradient=lambda s: 0.0),
    "the backbone is frozen": Series(falling, gradient=lambda s: None),
    "the last steps have no rate": Series(falling, lr=lambda s: 0.0 if s > 960 else 0.1),
    "heavy tails": Series(lambda s: falling(s) * (3 if s % 97 == 0 and s > 600 else 1)),
    "few classes": Series(lambda s: 1.2, accuracy=lambda s: 0.5),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_health_is_left_alone(name):
    assert HEALTHY[name].named() == []
    assert HEALTHY[name].named(chance=None) == []


def test_an_episode_that_comes_again_is_named_again():
    said = Series(lambda s: 50 * falling(s) if s in (400, 401, 405, 700) else falling(s)).named()
    assert [step for step, _ in said] == [400, 700]


def test_embeddings_over_pairs_say_nothing_of_guessing():
    series = SICK["guessing"][0]
    assert series.named()
    assert series.named(chance=None) == []


def test_harder_triplets_have_a_higher_loss():
    series = Series(lambda s: 0.2 if s < 100 else 0.06 if s < 300 else 0.35)
    named = {name for name in NAMES for _, text in series.named(chance=0.99) if name in text}
    assert {"diverges", "loss spike"} <= named  # as it would be for a loss over classes
    assert series.named(chance=None) == []


def test_skipped_steps_are_no_symptom():
    symptoms = Symptoms(STEPS, 0.1, 0.01)
    for step in range(1, 200):
        event = Step(
            step=step, epoch=1, loss="nan" if step % 9 == 0 else 3.0 + step % 5, accuracy=0.5, angle=0.0,
            lr=0.1, images_per_second=1.0, samples=1, data_wait=0.0, skipped=step % 9 == 0,
        )  # fmt: skip
        assert symptoms.step(event) == []


@pytest.mark.parametrize("zeros", [0, 1, 3])
def test_the_mean_cosine_is_that_of_all_pairs(zeros):
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    rows[:zeros] = 0
    unit = torch.nn.functional.normalize(rows, dim=1)
    cosines = unit @ unit.T
    cosines[:zeros] = cosines[:, :zeros] = 1
    wanted = (cosines.sum() - cosines.trace()) / (9 * 8)
    assert _alike(rows) == pytest.approx(wanted.item(), abs=1e-6)
    assert _alike(torch.ones(4, 5)) == pytest.approx(1)
    assert _alike(torch.zeros(4, 5)) == 1
