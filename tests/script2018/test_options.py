"""``train-softmax`` as it was typed in 2018: plans, settings, refusals, and the modern command that it is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.launch import pretrained
from arcterm.launch.pretrained import Pretrained
from arcterm.launch.script2018.options import OPTIONS
from arcterm.launch.script2018.settings import milestones, translate

from .conftest import FIVE

DATA = ("--data-dir", "../datasets/faces_ms1m_112x112")
LFW = {"backbone": "m1", "loss": "softmax"}


@pytest.fixture
def models(monkeypatch):
    """Whatever --pretrained names is there."""
    monkeypatch.setattr(pretrained, "find", lambda text, *_, **__: Pretrained(Path("/models") / text, 0))


@pytest.mark.parametrize("name", FIVE)
def test_each_of_the_five_commands_is_planned_word_for_word(name, type_in, models):
    code, out, err = type_in("train-softmax", *FIVE[name].split(), "--dry-run", "--json")
    assert code == 0, err
    config = json.loads(out)
    batch = {"triplet": 150, "p107": 64}.get(name, 128)
    usual = [100_000, 140_000, 160_000] if name in ("r50", "r100") else [40_000, 60_000, 80_000]
    assert (config["batch_size"], config["nproc"], config["device"]) == (batch, 1, "cpu")
    assert config["milestones"] == [int(step * 512 / batch) for step in usual]
    assert config["verify_every"] == 2000
    assert f"2018 {batch} × 4 GPUs = {4 * batch} images a step" in err
    assert f"here {batch} × 1 CPU rank = {batch} images a step" in err
    assert f"{int(usual[0] * 512 / 4 / batch):,}, " in err
    assert (config["optimizer"], config["weight_decay"], config["gamma"]) == ("legacy", 0.0005, 0.1)
    assert config["mxnet_prefix"].endswith(FIVE[name].rpartition("../")[2])
    assert config["mxnet_save"] == "best"
    wanted = {
        "r100": ("r100", "arcface", 0.1, 0.9, {"margin": 0.5, "scale": 64.0, "easy_margin": False}),
        "r50": ("r50", "cosface", 0.1, 0.9, {"margin": 0.35, "scale": 64.0}),
        "m1": ("m1", "softmax", 0.1, 0.9, {}),
        "triplet": ("m1", "triplet", 0.005, 0.0, {"margin": 0.3, "bag": 3600, "images_per_identity": 5}),
        "p107": ("p107", "softmax", 0.1, 0.9, {}),
    }[name]
    assert (config["backbone"], config["loss"], config["lr"], config["momentum"]) == wanted[:4]
    assert wanted[4].items() <= config["loss_options"].items()
    assert config["verify_sets"] == "lfw,agedb_30"
    assert "cfp_ff, cfp_fp not in" in err


MATRIX = [
    "--network m1 --loss-type 1 --margin 3 --beta 500 --beta-freeze 10 --power 2",
    "--network r50 --loss-type=4 --easy-margin 1 --margin-s 30 --version-se 1 --version-unit 1 "
    "--version-act relu",
    "--network r18 --loss-type 3 --margin-m 2 --version-input 0 --version-output F --emb-size 256",
    "--network r101 --loss-type 5 --margin-m 0.3 --version-input 2 --wd 0.0001 --mom 0.8",
    "--network y1 --loss-type 5 --margin-a 0.9 --margin-m 0.4 --margin-b 0.15 --ckpt 2 --verbose 100",
    "--network m05 --loss-type 2 --rand-mirror 0 --color 2 --cutoff 20 --images-filter 3",
    "--network d121 --loss-type 0 --ckpt 0 --target agedb_30 --end-epoch 3 --lr-steps 2,1",
    "--network m1 --loss-type 12 --per-batch-size 30 --triplet-bag-size 60 --triplet-alpha 0.2 "
    "--triplet-max-ap 0.5 --images-per-identity 4 --max-steps 7",
    "--network s20 --version-multiplier 1 --per-batch-size 0 --set precision=float32 --set seed=4 --net i2",
]


@pytest.mark.parametrize("words", MATRIX)
def test_the_modern_command_that_is_printed_gives_the_same_config(words, type_in):
    code, out, err = type_in("train-softmax", *DATA, *words.split(), "--dry-run", "--json")
    assert code == 0, err
    modern = re.search(r"^this is: (arcterm train .*)$", err, re.M)
    assert modern
    code, again, err = type_in(*shlex.split(modern[1])[1:], "--dry-run", "--json")
    assert code == 0, err
    first, second = (msgspec.convert(json.loads(text), TrainConfig) for text in (out, again))
    assert first == second


def test_every_option_has_an_effect_a_note_or_a_refusal(workshop, monkeypatch):
    """An option that is changed changes the settings, is noted, or is refused."""
    monkeypatch.chdir(workshop / "src")
    base = {"data_dir": DATA[1], "network": "r50", "loss_type": 4}
    plain = translate(base, {})
    other = {
        "pretrained": "x",
        "prefix": "y",
        "target": "lfw",
        "lr_steps": "5",
        "image_size": "96,96",
        "patch": "1",
    }
    other |= {
        "network": "r18",
        "version_output": "F",
        "version_act": "relu",
        "loss_type": 2,
        "data_dir": "a,b",
    }
    other["rand_mirror"] = 0
    for option in OPTIONS:
        given = base.get(option.name, option.default)
        bumped = not given if isinstance(given, bool) else given if isinstance(given, str) else given + 1
        value = other.get(option.name, bumped)
        try:
            made = translate(base | {option.name: value}, {})
        except ArctermError as error:
            assert error.hint, option.name
        else:
            assert made != plain or option.name == "ce_loss", option.name


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("--network x1", "no Xception here", "r50 is stronger"),
        ("--network r123", "there is no r123\n", "r18, r34, r50"),
        ("--network z9", "there is no z9, which the script takes for r9", "r18, r34, r50"),
        ("--network resnet", "it is a letter and a number", "r50"),
        ("--loss-type 8", "centre loss does not exist here", "--loss-type 4"),
        ("--loss-type 13", "triplets of angles", "--loss-type 12"),
        ("--loss-type 99", "no such number", "arcterm plugins loss"),
        ("--loss-type 3", "loss 3 multiplies the angle", "more than 1"),
        ("--loss-type 2 --margin-s 0", "the scale is above 0", "64"),
        ("--loss-type 0 --fc7-no-bias", "softmax has a bias a class", "leave it out"),
        ("--loss-type 4 --images-per-identity 2", "draws images by chance", "leave it out"),
        ("--loss-type 12", "128 images can't be split", "change --per-batch-size: 126 or 129 works"),
        ("--loss-type 12 --end-epoch 3", "rounds of mining", "--max-steps"),
        ("--loss-type 4 --noise-sgd 0.1", "--noise-sgd 0.1: noise is not added", "leave it out"),
        ("--loss-type 4 --lr-steps 1,x", "--lr-steps 1,x is no list of steps", "1000,2000"),
        ("--loss-type 4 --per-batch-size 999", "a step takes 999 images", "lower --per-batch-size"),
        ("--network r50 --loss-type 4 --version-output GNAP", "can't be written for MXNet", "--ckpt 0"),
        ("--loss-type 4 --log 2019", "--log 2019 is unknown", "--log 2018"),
        ("--loss-type 4 --vers 1", "No such option", ""),
    ],
)
def test_what_does_not_exist_here_is_refused_with_a_next_step(words, message, hint, type_in):
    code, _, err = type_in("train-softmax", *DATA, *words.split(), "--dry-run")
    assert code == 2, err
    assert message in err
    assert hint in err


def test_no_data_and_several_packs_are_refused(type_in):
    assert "--data-dir is missing" in type_in("train-softmax")[2]
    code, _, err = type_in("train-softmax", "--data-dir", "a,b", "--loss-type", "12")
    assert (code, "arcterm data merge" in err) == (2, True)


def test_milestones_are_scaled_by_512_over_the_batch_for_defaults_only():
    assert milestones("", 4, 256, 0) == [200_000, 280_000, 320_000]
    assert milestones("", 0, 384, 0) == [53_333, 80_000, 106_666]  # cut, not rounded
    assert milestones("", 1, 512, 5000) == [105_000, 145_000, 165_000]
    assert milestones("", 12, 512, 0) == [40_000, 60_000, 80_000]
    assert milestones("300,100", 4, 1, 0) == [100, 300]


def test_sphereface_freezes_longer_with_many_people(workshop, tmp_path, monkeypatch):
    (tmp_path / "property").write_text("20001,112,112")
    given = {"data_dir": str(tmp_path), "network": "m1", "loss_type": 1, "per_batch_size": 512}
    assert translate(given, {}).settings["milestones"] == "105000,145000,165000"
    (tmp_path / "property").write_text("20000,112,112")
    assert translate(given, {}).settings["milestones"] == "100000,140000,160000"


def test_class_weights_are_kept_where_they_fit(workshop, tmp_path, monkeypatch):
    import numpy as np

    from arcterm.formats.mxnet import params

    monkeypatch.chdir(workshop / "src")
    base = {"data_dir": DATA[1], "network": "m1", "loss_type": 2, "pretrained": f"{tmp_path}/m,3"}
    for people, head in ((6, "keep"), (7, None)):
        params.write(tmp_path / "m-0003.params", {"arg:fc7_weight": np.zeros((people, 4), np.float32)})
        made = translate(base, {})
        assert made.settings.get("head") == head
        assert any("class weights of 7 people" in note for note in made.notes) == (head is None)
        assert "head" not in translate(base | {"loss_type": 12}, {}).settings
