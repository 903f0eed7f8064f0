"""Threads by the cores that a rank has."""

from __future__ import annotations

import pytest

from arcterm import cores


@pytest.mark.parametrize(
    ("have", "ranks", "asked", "device", "threads"),
    [
        (96, 8, 0, "cuda", 11),
        (192, 8, 0, "cuda", 16),
        (8, 8, 0, "cuda", 2),
        (4, 1, 0, "cuda", 3),
        (96, 8, 5, "cuda", 5),
        (96, 1, 0, "cpu", 2),
        (96, 1, 7, "cpu", 7),
    ],
)
def test_decoding_threads_follow_from_the_cores_of_a_rank_on_a_gpu(
    monkeypatch, have, ranks, asked, device, threads
):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: range(have))
    assert cores.decoding_threads(asked, device, ranks) == threads


def test_a_rank_has_a_core_at_least(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: range(3))
    assert [cores.cores_of_rank(ranks) for ranks in (1, 2, 3, 8)] == [3, 1, 1, 1]
