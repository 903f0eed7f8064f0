"""One flipped bit in any file of a checkpoint: the one before is taken, and it is said."""

from __future__ import annotations

import random

import pytest
from safetensors.torch import load_file

from arcterm.runs import checkpoints, store
from tests.faults.saving import save
from tests.runs.conftest import config


@pytest.fixture
def saved(tmp_path):
    """A run with two checkpoints, and the newest."""
    run = store.create(tmp_path / "runs", config(), label="x", argv=[], host="h")
    for step in (1, 2):
        save(run, step, "")
    return run, run.checkpoints / checkpoints.name_of(2)


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_the_one_before_is_taken(saved):
    run, newest = saved
    chance = random.Random(0)
    for path in sorted(newest.iterdir()):
        size = path.stat().st_size * 8
        for bit in (0, size - 1, *(chance.randrange(size) for _ in range(10))):
            flip(path, bit)
            found = checkpoints.newest(run)
            assert found.manifest.step == 1, (path.name, bit)
            (note,) = found.notes
            assert path.name in note
            assert "it goes on from step-0000000001" in note
            flip(path, bit)
    assert checkpoints.newest(run).manifest.step == 2


def test_the_format_itself_does_not_notice(saved):
    """The control: without the digests a damaged weight would be trained on."""
    _, newest = saved
    flip(newest / "backbone.safetensors", 8 * (newest / "backbone.safetensors").stat().st_size - 1)
    assert load_file(newest / "backbone.safetensors")
