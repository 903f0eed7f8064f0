"""Margins and scales that change as training goes on: values, refusals, and what a loss makes of them."""

from __future__ import annotations

import re

import pytest
import torch
from arcterm_registry import get, names

from arcterm.errors import ConfigError
from arcterm.launch.plan import make_plan
from arcterm.schedules.ramp import check, ramps
from arcterm.train.head.head import Head
from arcterm.train.world import World

from ..runs.conftest import config


def margins(text, steps):
    return [ramps(config(margin_schedule=text))["margin"].at(step) for step in steps]


def test_a_curve_goes_in_straight_lines_and_stays_before_and_behind():
    assert margins("2:0.2,6:0.6", range(1, 10)) == pytest.approx(
        [0.2, 0.2, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6]
    )
    assert margins("0:0.2,3:0.2,3:0.5", range(1, 6)) == [0.2, 0.2, 0.2, 0.5, 0.5]
    assert margins("4:0.3", (1, 9)) == [0.3, 0.3]


def ask(**settings):
    return make_plan({"backbone": "tiny", "loss": "arcface", "steps": 620, "batch_size": 8, **settings})


def test_epochs_are_counted_in_steps_and_the_plan_says_both():
    made = ask(margin_schedule="0:0.2,1.5e:0.5", scale_schedule="0:32,200:64", loss_options={"margin": 0.4})
    chosen, epoch = made.config, made.facts.images // 8
    end = epoch + round(epoch / 2)
    assert chosen.margin_schedule == f"0:0.2,{end}:0.5"
    assert chosen.durations == {"margin_schedule": "0:0.2,1.5e:0.5"}
    assert ask(**{k: v for k, v in chosen.settings().items() if k != "dataset"}).config == chosen
    said = "\n".join(made.notes)
    assert f"margin 0.2 after 0 steps, 0.5 after {end:,} steps (0:0.2,1.5e:0.5) scale 32" in said
    assert "margin does nothing: margin_schedule sets it" in said


@pytest.mark.parametrize(
    ("loss", "setting", "text", "said"),
    [
        ("softmax", "scale_schedule", "0:1", "loss softmax has no scale that can change from step to step"),
        ("combined", "margin_schedule", "0:0.1", "loss combined has no margin"),
        ("triplet", "margin_schedule", "0:0.1", "loss triplet has no margin"),
        ("arcface", "margin_schedule", "0:0.1,9:1.6", "0 ≤ margin < 1.57"),
        ("arcface", "margin_schedule", "0:x", "'0:x' is no time and value"),
        ("arcface", "margin_schedule", "0.5", "'0.5' is no time and value"),
        ("arcface", "margin_schedule", "0:nan", "'0:nan' is no time and value"),
        ("arcface", "scale_schedule", "5:3,2:4", "the times of scale_schedule 5:3,2:4 fall"),
        ("sphereface", "margin_schedule", "0:1.5", "margin is one of"),
    ],
)
def test_what_a_loss_can_not_follow_is_refused(loss, setting, text, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        ask(loss=loss, **{setting: text})
    assert f"--set {setting}" in refused.value.hint


def test_a_loss_over_another_takes_what_that_one_takes():
    declared = get("loss", "subcenter")
    given = {"loss": "subcenter", "margin_schedule": "0:0.1", "scale_schedule": ""}
    options = {"centers": 2, "over": "combined"}
    with pytest.raises(ConfigError, match="combined: there is no option 'margin'"):
        check(given, declared, options)
    check(given, declared, options | {"over": "cosface"})


@pytest.mark.parametrize("name", [n for n in names("loss") if get("loss", n).scheduled])
def test_a_loss_whose_numbers_are_set_is_one_that_was_made_with_them(name):
    """Losses of a batch, and their gradients, are those of a loss made so, but for what `prepare` settles."""
    declared = get("loss", name)
    first, second = {"margin": 0.25, "scale": 16.0}, {"margin": 0.5, "scale": 48.0}
    if name in ("sphereface", "sphereface-r"):
        first, second = first | {"margin": 2.0}, second | {"margin": 3.0}
    heads = []
    for options in (second, first):
        made = declared.make(**{key: options[key] for key in declared.scheduled})
        heads.append(Head(7, 16, made, World(), 3))
    for key in declared.scheduled:
        setattr(heads[1].margin, key, second[key])
    if isinstance(heads[0].margin, torch.nn.Module):  # thresholds that begin where margin and scale balance
        heads[1].margin.load_state_dict(heads[0].margin.state_dict())
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(9, 16, generator=generator), torch.arange(9) % 7
    for head in heads:
        head(images, labels, 5).loss.backward()
    assert torch.equal(heads[0].weight.grad, heads[1].weight.grad)
    assert heads[0].weight.grad.abs().max() > 0
