"""What a resume may change, and the config that goes on with it: the length, the rates, and every image."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm.errors import ConfigError
from arcterm.launch import devices
from arcterm.launch.choice import Devices
from arcterm.launch.resume import changes, notes
from arcterm.overrides import check_settings
from arcterm.samples import FROM_START
from arcterm.schedules.clock import INTERVALS
from arcterm.schedules.rate import warm_steps
from arcterm.settings import SETTINGS
from arcterm.train.feed.sampler import Sampler

from ..runs.conftest import config

IMAGES = 410
FACTS = DatasetFacts(fingerprint="2:a:b", images=IMAGES, classes=10, image_size=(112, 112), verification={})
ONE = replace(FACTS, classes=1)
OLD = config(nproc=2, batch_size=8, epochs=4, steps=4 * (IMAGES // 16))  # 16 images a step, 25 steps an epoch
ON_GPUS = msgspec.structs.replace(OLD, device="cuda", gpus=[0, 1])
CPU = {n: Devices([], n, "") for n in range(1, 5)}


def change(asked=None, *, old=OLD, step=30, where=None, facts=FACTS, images=IMAGES):
    return changes.apply(
        old, check_settings(asked or {}, "test"), step=step, where=where, facts=facts, images=images
    )


# --- what may change


@pytest.mark.parametrize("option", SETTINGS, ids=lambda option: option.name)
def test_every_setting_may_be_changed_or_is_refused_with_its_reason(option):
    asked = {option.name: option.default}
    if option.name in (*changes.WORKED_OUT, *changes.PLAIN):
        changes.check_allowed(OLD, asked, "first")
        return
    with pytest.raises(ConfigError, match=f"--set {option.name}: a resume can't change this: .+") as refused:
        changes.check_allowed(OLD, asked, "first")
    assert refused.value.hint.endswith("`arcterm train tiny arcface --pretrained first`")


@pytest.mark.parametrize("key", ["backbone", "loss", "loss_options", "backbone_options", "name"])
def test_what_the_run_is_stays(key):
    with pytest.raises(ConfigError, match=r"a resume can't change this: it"):
        changes.check_allowed(OLD, {key: {} if key.endswith("options") else "x"}, "first")


@pytest.mark.parametrize("name", changes.PLAIN)
def test_a_setting_that_stands_alone_is_taken_and_nothing_else_changes(name):
    option = next(option for option in SETTINGS if option.name == name)
    value = next(
        (choice for choice in option.choices or () if choice != getattr(OLD, name)),
        not option.default
        if option.type is bool
        else 7
        if option.type is int or option.low == 1 or name in INTERVALS
        else 0.75,
    )
    old = ON_GPUS if name == "cudnn_benchmark" else OLD
    new = change({name: value}, old=old)
    others = {"milestones"} if name == "schedule" else set()
    differing = {key for key in old.__struct_fields__ if getattr(new, key) != getattr(old, key)}
    assert differing == {name} | others
    assert any(name in line for line in notes.lines(old, new, 30, by_epochs=True))


# --- ranks and batch


def test_fewer_ranks_keep_the_images_of_a_step():
    new = change({"nproc": 1}, where=CPU[1])
    assert (new.nproc, new.batch_size, new.steps, new.begins) == (1, 16, OLD.steps, FROM_START)
    assert new.threads == devices.threads_of_rank(1)
    said = notes.lines(OLD, new, 30, by_epochs=True)
    assert said == [
        "resume    from step 30",
        "ranks     1 CPU rank instead of 2 CPU ranks",
        "batch     16 × 1 = 16 images a step as before",
    ]


def test_ranks_that_can_not_share_a_step_are_refused_with_those_that_can():
    with pytest.raises(ConfigError, match="16 images a step can't be shared by 3 ranks") as refused:
        change({"nproc": 3}, where=CPU[3])
    assert refused.value.hint.startswith("--nproc 1, 2, 4")
    assert "--batch-size: 6 are 18 a step" in refused.value.hint
    assert change({"nproc": 3, "batch_size": 6}, where=CPU[3]).global_batch == 18


def test_gpus_are_left_for_the_cpu_and_taken_again():
    old = config(nproc=2, gpus=[0, 1], device="cuda", batch_size=8, epochs=4, steps=100)
    new = change({"gpus": "none"}, old=old, where=CPU[1])
    assert (new.device, new.gpus, new.batch_size) == ("cpu", [], 16)
    assert "ranks     1 CPU rank instead of GPU 0, 1" in notes.lines(old, new, 30, by_epochs=True)
    back = change({"gpus": "3"}, old=new, where=Devices([3], 1, ""))
    assert (back.device, back.gpus, back.threads) == ("cuda", [3], 1)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (FACTS, "a step takes 820 images and the data set has 410"),
        (ONE, "1 people can't be shared by 2 ranks"),
    ],
)
def test_a_batch_has_to_fit_the_data(facts, said):
    with pytest.raises(ConfigError, match=said):
        change({"batch_size": 410} if facts is FACTS else {"batch_size": 9}, facts=facts)


def test_triplets_stay_whole():
    old = config(loss="triplet", loss_options={"bag": 30, "images_per_identity": 5}, nproc=1, batch_size=9)
    with pytest.raises(ConfigError, match="can't be split into anchors"):
        change({"batch_size": 10}, old=old)
    assert change({"batch_size": 12}, old=old).batch_size == 12


# --- length and rate


def test_a_run_of_epochs_keeps_them_with_another_batch_and_one_of_steps_its_steps():
    new = change({"batch_size": 12})
    # 30 steps of 16 leave 410 - 80 images of the second epoch, then 2 epochs of 17 steps of 24
    assert (new.epochs, new.steps) == (4, 30 + (410 - 80) // 24 + 2 * 17)
    assert "4 epochs as before" in notes.lines(OLD, new, 30, by_epochs=True)[2]
    old = config(nproc=2, batch_size=8, epochs=4, steps=99)
    new = change({"batch_size": 12}, old=old)
    assert (new.steps, new.epochs) == (99, math.ceil((99 - 30 - 13) / 17) + 2)


def test_a_longer_run_lays_its_schedule_anew_and_says_what_the_rate_becomes():
    new = change({"epochs": 8}, step=100)
    assert (new.steps, new.epochs) == (200, 8)
    assert notes.lines(OLD, new, 100, by_epochs=True) == [
        "resume    from step 100",
        "length    200 steps (8 epochs) instead of 100; the schedule is laid anew over them",
        "lr        0.025 at step 101, it was 1e-05 at the last; peak 0.1 as before",
    ]
    assert change({"steps": 130}, step=100).epochs == 6


def test_a_lower_peak_is_the_rate_from_the_next_step_on():
    new = change({"lr": 0.05}, step=50)
    assert (new.lr, new.steps) == (0.05, OLD.steps)
    assert notes.lines(OLD, new, 50, by_epochs=True)[1:] == [
        "lr        0.0125 at step 51, instead of 0.025; peak 0.05 instead of 0.1"
    ]


@pytest.mark.parametrize("asked", [{"steps": 30}, {"steps": 5}, {"epochs": 1}])
def test_steps_that_were_made_stay_made(asked):
    with pytest.raises(ConfigError, match="in all, and 30 are made"):
        change(asked)


def test_milestones_that_were_laid_over_the_length_are_laid_over_the_new_one():
    old = config(schedule="multistep", milestones=[50, 70, 90], nproc=2, batch_size=8, epochs=4, steps=100)
    assert change({"steps": 200}, old=old).milestones == [100, 140, 180]
    given = config(schedule="multistep", milestones=[40], nproc=2, batch_size=8, epochs=4, steps=100)
    assert change({"steps": 200}, old=given).milestones == [40]
    assert change({"milestones": "60,80"}, old=given).milestones == [60, 80]
    assert change({"schedule": "poly"}, old=given).milestones == []


TIMED = {
    "schedule": "multistep",
    "milestones": [50, 75],
    "verify_every": 12,
    "warmup": 0.25,
    "durations": {"milestones": "2e,3e", "verify_every": "0.5e", "warmup": "1e"},
}


def test_what_was_given_in_epochs_is_counted_anew_with_another_batch():
    new = change({"batch_size": 4}, old=msgspec.structs.replace(OLD, **TIMED), step=25)
    # 25 steps of 16 images and one of the 10 that are left, then 3 epochs of 51 steps of 8
    assert (new.steps, new.milestones, new.verify_every) == (25 + 1 + 3 * 51, [25 + 1 + 51, 25 + 1 + 102], 26)
    assert warm_steps(new) == 26
    assert new.durations == TIMED["durations"]
    assert "milestones=2e,3e" in new.command


def test_a_time_that_is_asked_for_takes_the_place_of_the_one_in_epochs():
    old = msgspec.structs.replace(OLD, **TIMED)
    new = change({"verify_every": "7", "milestones": "60,3.5e", "warmup": "10"}, old=old)
    assert (new.verify_every, new.milestones, warm_steps(new)) == (7, [60, 87], 10)
    assert new.durations == {"milestones": "60,3.5e", "warmup": "10"}
    longer = change({"steps": 200}, old=new)
    assert (warm_steps(longer), longer.milestones) == (10, [60, 87])
    assert notes.lines(old, new, 30, by_epochs=True)[-1] == (
        "changed   verify_every 7 instead of 0.5e, warmup 10 instead of 1e, "
        "milestones 60,3.5e instead of 2e,3e"
    )
    poly = change({"schedule": "poly"}, old=old)
    assert (poly.milestones, poly.durations) == ([], {"verify_every": "0.5e", "warmup": "1e"})
    with pytest.raises(ConfigError, match="a warm-up of 100 steps leaves none of the run's 100"):
        change({"warmup": "4e"}, old=old)


# --- the images


def enumerate_images(parts, seed=0):
    """Images of each step, found by going through the epochs: `parts` are (steps, images a step) in turn."""
    sampler = Sampler(IMAGES, 1, seed=seed)
    epoch, order, seen = 0, list(sampler.order(0)), []
    for steps, size in parts:
        for _ in range(steps):
            if len(order) < size:
                epoch += 1
                order = list(sampler.order(epoch))
            seen.append([int(image) for image in order[:size]])
            order = order[size:]
    return seen


def images_of(new, first, last):
    """Images of the steps first … last, those of all ranks in order."""
    ranks = [
        Sampler(IMAGES, new.share, rank, new.nproc, new.seed, new.begins).choices(first, last)
        for rank in range(new.nproc)
    ]
    return [np.concatenate([each.indices for each in step]).tolist() for step in zip(*ranks, strict=True)]


@pytest.mark.parametrize("step", [1, 24, 25, 26, 30, 60])
def test_after_a_change_the_images_are_those_that_are_left(step):
    new = change({"batch_size": 12}, step=step)
    expected = enumerate_images([(step, 16), (new.steps - step, 24)])
    assert images_of(OLD, 1, step) + images_of(new, step + 1, new.steps) == expected
    again = change({"nproc": 3, "batch_size": 5}, old=new, step=step + 20, where=CPU[3])
    expected = enumerate_images([(step, 16), (20, 24), (again.steps - step - 20, 15)])
    assert images_of(again, step + 21, again.steps) == expected[step + 20 :]
    assert again.epochs == 4


@pytest.mark.parametrize(("nproc", "accumulate", "batch"), [(1, 2, 8), (2, 4, 2), (4, 2, 2), (1, 16, 1)])
def test_parts_keep_the_images_of_a_step(nproc, accumulate, batch):
    new = change({"nproc": nproc, "accumulate": accumulate}, where=CPU[nproc])
    assert (new.batch_size, new.accumulate, new.global_batch) == (batch, accumulate, 16)
    assert new.begins == FROM_START
    assert (new.steps, new.epochs) == (OLD.steps, OLD.epochs)
    assert images_of(new, 31, new.steps) == images_of(OLD, 31, OLD.steps)
    line = f"batch     {batch} × {nproc} × {accumulate} = 16 images a step as before"
    assert line in notes.lines(OLD, new, 30, by_epochs=True)
    back = change({"accumulate": 1}, old=new)
    assert (back.batch_size, back.nproc, back.global_batch) == (16 // nproc, nproc, 16)
    assert change({"batch_size": 3}, old=new).global_batch == 3 * nproc * accumulate


def test_parts_that_are_not_of_one_size_are_refused_with_those_that_are():
    with pytest.raises(ConfigError, match="8 images of a rank can't be taken in 3 passes") as refused:
        change({"accumulate": 3})
    assert (
        refused.value.hint
        == "--set accumulate=1, 2, 4 or 8 keeps them; or give --batch-size: 3 are 18 a step"
    )
    with pytest.raises(
        ConfigError, match="16 images a step can't be shared by 3 ranks in 2 passes"
    ) as refused:
        change({"nproc": 3, "accumulate": 2}, where=CPU[3])
    assert refused.value.hint.startswith("--nproc 1, 2, 4")
    assert change({"accumulate": 3, "batch_size": 3}).global_batch == 18
    old = config(loss="triplet", loss_options={"bag": 30, "images_per_identity": 5}, nproc=1, batch_size=12)
    with pytest.raises(ConfigError, match="loss triplet compares the images of a step"):
        change({"accumulate": 2}, old=old)


@pytest.mark.parametrize("nproc", [1, 4])
def test_other_ranks_take_the_same_images_in_the_same_steps(nproc):
    new = change({"nproc": nproc}, where=CPU[nproc])
    assert images_of(new, 31, new.steps) == images_of(OLD, 31, OLD.steps)


def test_other_data_begins_an_epoch_of_its_own():
    facts = replace(FACTS, images=300)
    new = change({"batch_size": 12}, facts=facts)
    assert (new.begins.epoch, new.begins.offset, new.begins.step) == (2, 0, 30)
