"""The five commands of the README of 2018, run to their end with a few options added to make them short."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from arcterm.formats.mxnet import params, symbol

from .conftest import FIVE, write_faces

pytestmark = pytest.mark.slow
SHORT = "--verbose 1 --ckpt 2 --triplet-bag-size 30 --emb-size 64"  # most weights are before the embedding


@pytest.fixture
def src(tmp_path: Path) -> Iterator[Path]:
    """The folder that the commands are typed in; what they write, which is large, goes with the test."""
    (tmp_path / "src").mkdir()
    (tmp_path / "datasets").mkdir()
    yield tmp_path / "src"
    shutil.rmtree(tmp_path)


@pytest.fixture
def typed(src: Path) -> Callable[..., str]:
    """``typed("arcterm train-softmax", "--network …")`` → what it printed, after its end without an error."""

    def run(program: str, *parts: str) -> str:
        command = [sys.executable, "-m", *shlex.split(" ".join([program, *parts]))]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
        environment.pop("ARCTERM_RUNS", None)
        done = subprocess.run(
            command, cwd=src, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_softmax_and_from_its_files_triplets(src: Path, typed: Callable[..., str]) -> None:
    write_faces(src.parent / "datasets/faces_ms1m_112x112", ("lfw",), each=6)
    out = typed(
        "arcterm.train_softmax", FIVE["m1"], SHORT, "--per-batch-size 8 --max-steps 2 --log 2018"
    ).splitlines()
    assert out[0] == "use cpu"
    for number in (1, 2):
        saved = f'INFO:root:Saved checkpoint to "{src.parent}/model-m1-softmax-000{number}.params"'
        assert out.index(f"saving {number}") + 1 == out.index(saved)
        assert any(line.startswith(f"[{number}]Accuracy-Highest: ") for line in out)
    softmax = params.read(src.parent / "model-m1-softmax-0001.params")
    assert softmax["arg:fc7_weight"].shape == (6, 64)
    assert softmax["arg:fc7_bias"].shape == (6,)

    # the last of two is taken, as by argparse
    later = "--pretrained ../model-m1-softmax,1 --per-batch-size 6 --max-steps 1"
    out = typed("arcterm train-softmax", FIVE["triplet"], SHORT, later, "--plain").splitlines()
    assert any(line.startswith("mined ") for line in out)
    triplet = params.read(src.parent / "model-m1-triplet-0001.params")
    assert not [name for name in triplet if "fc7" in name]
    assert triplet.keys() == {name for name in softmax if "fc7" not in name}
    moved = np.abs(triplet["arg:conv_5_conv2d_weight"] - softmax["arg:conv_5_conv2d_weight"]).max()
    assert 0 < moved < 0.1  # a step of 0.005 from the weights of the file


@pytest.mark.parametrize("name", ["r50", "r100", "p107"])
def test_a_large_network_makes_a_step(name: str, src: Path, typed: Callable[..., str]) -> None:
    write_faces(src.parent / "datasets/faces_ms1m_112x112", (), people=2, each=2)
    out = typed("arcterm train-softmax", FIVE[name], SHORT, "--per-batch-size 2 --max-steps 1 --plain")
    assert "step    1/1" in out
    prefix = src.parent / FIVE[name].rpartition("../")[2]
    arrays = params.shapes(prefix.with_name(f"{prefix.name}-0001.params"))
    assert arrays["arg:fc7_weight"] == (2, 64)
    layers = symbol.read(prefix.with_name(f"{prefix.name}-symbol.json")).layers()
    assert {name for layer in layers for name in layer.arrays.values()} == {
        name.partition(":")[2] for name in arrays if "fc7" not in name
    }
