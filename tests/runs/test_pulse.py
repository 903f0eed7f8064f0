"""A rank's pulse."""

from __future__ import annotations

import os

import pytest

from arcterm.runs import pulse


def test_the_last_beat_of_every_rank_is_read(tmp_path):
    for rank in (0, 1, 2):
        (tmp_path / f"rank-{rank:05d}").mkdir()
    first, second = (pulse.Pulse(tmp_path / f"rank-{rank:05d}") for rank in (0, 1))
    assert {rank: beat.phase for rank, beat in pulse.read_all(tmp_path).items()} == {
        0: "loading",
        1: "loading",
    }
    first.beat("training", 7)
    first.beat()
    second.beat("verify")
    found = pulse.read_all(tmp_path)
    assert found[0][:2] == (os.getpid(), "training")
    assert (found[0].step, found[1].step, found[1].phase) == (7, 0, "verify")
    assert found[0].at <= found[1].at


@pytest.mark.parametrize("held", [b"", b"x" * 31, b"\xff" * 32])
def test_what_is_no_beat_counts_as_none(tmp_path, held):
    (tmp_path / "pulse").write_bytes(held)
    assert pulse.read(tmp_path) is None
