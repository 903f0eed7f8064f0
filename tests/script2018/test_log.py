"""The lines of 2018's console output, one after the other, made of events."""

from __future__ import annotations

import re

import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm.cli.script2018.log2018 import Lines2018, opening
from arcterm.launch.script2018.options import DEFAULTS
from arcterm.runs.events import Mined, MxnetFile, Phase, Step, Verify

from ..runs.conftest import config


def step(number, per_epoch=1000, **changes):
    fields = {
        "step": number, "epoch": (number - 1) // per_epoch + 1, "loss": 2.0, "accuracy": 0.25, "angle": 60.0,
        "lr": 0.1, "images_per_second": 1.0, "samples": 1, "data_wait": 0.0, "t": 100.0 + number / 2,
    }  # fmt: skip
    return Step(**{**fields, **changes})


def verify(number, name, accuracy):
    return Verify(
        step=number, set=name, pairs=6000, accuracy=accuracy, std=0.00281, xnorm=22.04003, seconds=18.578805
    )


def said(made, *events):
    return [line for event in events for line in made.of(event)]


def legacy(**changes):
    settings = {"schedule": "multistep", "milestones": [3000], "steps": 9000, "verify_every": 2000}
    return config(**{**settings, "batch_size": 64, "nproc": 2, **changes})


def test_speed_is_said_every_20_batches_and_anew_in_each_epoch():
    made = Lines2018(legacy())
    lines = said(made, *(step(number, per_epoch=50) for number in range(1, 121)))
    assert lines[0] == "INFO:root:Epoch[0] Batch [20]\tSpeed: 256.00 samples/sec\tacc=0.250000"
    found = [re.match(r"INFO:root:Epoch\[(\d+)\] Batch \[(\d+)\]\tSpeed: ", line) for line in lines]
    assert [(int(f[1]), int(f[2])) for f in found] == [(0, 20), (0, 40), (1, 20), (1, 40)]


def test_the_accuracy_is_the_mean_since_the_last_line():
    made = Lines2018(legacy(), with_loss=True)
    lines = said(made, *(step(n, accuracy=n / 100, loss=float(n)) for n in range(1, 42)))
    assert lines[0].endswith("\tacc=0.110000\tlossvalue=11.000000")  # of batches 0 to 20
    assert lines[1].endswith("\tacc=0.315000\tlossvalue=31.500000")


def test_the_rate_is_said_every_1000_steps_and_where_it_changes():
    made = Lines2018(legacy())
    lines = said(made, *(step(number, per_epoch=10_000) for number in range(1, 3001)))
    kept = [line for line in lines if not line.startswith("INFO")]
    assert kept == [
        "lr-batch-epoch: 0.1 999 0",
        "lr-batch-epoch: 0.1 1999 0",
        "lr change to 0.01",
        "lr-batch-epoch: 0.01 2999 0",
    ]
    assert lines.index("lr change to 0.01") == len(lines) - 2


def test_a_verification_its_file_and_the_best_so_far():
    made = Lines2018(legacy(backbone_options={"embedding_size": 512}))
    events = [verify(2000, "lfw", 0.99433), verify(2000, "agedb_30", 0.86033)]
    saved = MxnetFile(step=2000, round=1, path="/m/model-r100-0001.params", bytes=1, seconds=1.0)
    assert said(made, *events, saved, Phase(phase="training")) == [
        "testing verification..",
        "(12000, 512)",
        "infer time 18.578805",
        "[lfw][2000]XNorm: 22.040030",
        "[lfw][2000]Accuracy-Flip: 0.99433+-0.00281",
        "testing verification..",
        "(12000, 512)",
        "infer time 18.578805",
        "[agedb_30][2000]XNorm: 22.040030",
        "[agedb_30][2000]Accuracy-Flip: 0.86033+-0.00281",
        "saving 1",
        'INFO:root:Saved checkpoint to "/m/model-r100-0001.params"',
        "[2000]Accuracy-Highest: 0.86033",
    ]
    later = said(made, verify(4000, "lfw", 0.5), Phase(phase="training"), Phase(phase="training"))
    assert later[-1] == "[4000]Accuracy-Highest: 0.86033"
    assert sum("Highest" in line for line in later) == 1
    asked_for = said(made, verify(4100, "lfw", 0.9), Phase(phase="training"))
    assert not any("Highest" in line for line in asked_for)  # no round of the script's


def test_triplets_say_their_loss_every_2_batches_and_count_rounds_as_epochs():
    made = Lines2018(legacy(loss="triplet"))
    mined = Mined(step=0, round=1, bags=1, images=30, pairs=9, triplets=50, steps=3, seconds=1.0)
    lines = said(made, mined, *(step(number, loss=0.5) for number in range(1, 4)))
    assert lines == [
        "found triplets 50",
        "seq len 384",
        "call reset()",
        "INFO:root:Epoch[0] Batch [2]\tSpeed: 256.00 samples/sec\tlossvalue=0.500000",
    ]


@pytest.mark.parametrize(
    ("network", "lines"),
    [("r100", ["init resnet 100", "0 1 E 3 prelu"]), ("m1", ["init mobilenet 1", "0 1 E 3"])],
)
def test_the_opening(network, lines):
    facts = DatasetFacts(
        images=3_804_846, classes=85_164, image_size=(112, 112), fingerprint="", verification={"lfw": 6000}
    )
    asked = legacy(gpus=[0, 1, 2, 3], device="cuda", nproc=4, batch_size=128, milestones=[100_000, 140_000])
    options = DEFAULTS | {"network": network, "pretrained": "../model-m1-softmax,50"}
    found = opening(options, asked, facts)
    named = found.pop(4)
    assert named.startswith("Called with argument: Namespace(batch_size=512, ")
    assert "margin_m=0.35, " in named
    assert named.endswith("wd=0.0005)")
    loading = [line for line in found if line.startswith("loading bin")]
    assert (loading[0], loading[-1], len(loading)) == ("loading bin 0", "loading bin 11000", 12)
    assert [line for line in found if line not in loading] == [
        "gpu num: 4",
        f"num_layers {network[1:]}",
        "image_size [112, 112]",
        "num_classes 85164",
        "loading ['../model-m1-softmax', '50']",
        *lines,
        "header0 label [3804847. 3890011.]",
        "id2range 85164",
        "3804846",
        "rand_mirror 1",
        "(12000L, 3L, 112L, 112L)",
        "ver lfw",
        "lr_steps [100000, 140000]",
        "call reset()",
    ]
    assert opening(options, legacy(), facts)[0] == "use cpu"
