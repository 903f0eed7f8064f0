"""When ranks hang, and which of them: by beats, states of processes and stacks alone."""

from __future__ import annotations

import pytest

from arcterm.processes.hang import Examined, Watch, find_silent
from arcterm.runs.pulse import Beat

THREAD = "Current thread 0x1 (most recent call first):\n"
COLLECTIVE = (
    f'{THREAD}  File "/x/torch/distributed/distributed_c10d.py", line 3 in all_reduce\n'
    '  File "/x/arcterm/train/head/head.py", line 9 in forward'
)
BACKWARD = f'{THREAD}  File "/x/torch/autograd/graph.py", line 8 in _engine_run_backward'
QUEUE = f"""{THREAD}  File "/x/python3.11/threading.py", line 327 in wait
  File "/x/python3.11/queue.py", line 171 in get
  File "/x/arcterm/train/feed/loader.py", line 160 in batches"""
SLEEP = f'{THREAD}  File "/x/plugin.py", line 7 in forward\n  File "/x/loop.py", line 1 in _steps'


def watched(watch, seconds, beats, since=0.0, every=1.0):
    """Seconds of silence as `watch` reports them, at each look."""
    found, now = [], since
    while now < since + seconds:
        now += every
        found.append(watch.look(beats, now))
    return found


def beats(step, at, phase="training", ranks=2):
    return {rank: Beat(100 + rank, phase, at, step) for rank in range(ranks)}


def stepping(watch, seconds_per_step, steps=30):
    for step in range(steps):
        assert watch.look(beats(step, step * seconds_per_step), 1 + step * seconds_per_step) is None
    return 1 + (steps - 1) * seconds_per_step


@pytest.mark.parametrize(("pace", "limit"), [(0.01, 60), (1.5, 60), (10.0, 200)])
def test_a_hang_is_a_silence_of_a_minute_or_of_twenty_steps(pace, limit):
    watch = Watch(60)
    now = stepping(watch, pace)
    last = beats(29, 29 * pace)
    assert not any(watched(watch, limit, last, now))
    assert watched(watch, 2, last, now + limit)[-1] == pytest.approx(limit + 2, abs=1)


def test_the_first_step_may_take_five_times_as_long():
    watch = Watch(60)
    assert not any(watched(watch, 300, beats(0, 0)))
    assert watched(watch, 3, beats(0, 0), 300)[-1]


@pytest.mark.parametrize("phase", ["loading", "compile", "checkpoint", "verify", "mining"])
def test_what_has_no_steps_has_half_an_hour(phase):
    watch = Watch(3)
    now = stepping(watch, 0.1)
    assert not any(watched(watch, 1800, beats(30, 3, phase), now))
    assert watched(watch, 4, beats(30, 3, phase), now + 1801)[-1]


def test_a_pause_lasts_as_long_as_it_takes():
    watch = Watch(3)
    assert not any(watched(watch, 4000, beats(30, 3, "paused")))


@pytest.mark.parametrize("phase", ["checkpoint", "verify", "paused", "loading"])
def test_a_rank_that_is_stopped_hangs_in_every_phase(phase):
    watch = Watch(3)
    now = stepping(watch, 0.1)
    found = [watch.look(beats(30, 3, phase), now + second, stopped=second != 5) for second in range(10)]
    assert [second for second, silent in enumerate(found) if silent is not None] == [4, 9]


def test_one_rank_in_training_is_enough():
    watch = Watch(3)
    now = stepping(watch, 0.1)
    mixed = {0: Beat(100, "checkpoint", 3.0, 30), 1: Beat(101, "training", 3.0, 29)}
    assert any(watched(watch, 6, mixed, now))


def test_time_in_which_the_supervisor_was_stopped_does_not_count():
    watch = Watch(60)
    now = stepping(watch, 0.1)
    assert watch.look(beats(29, 2.9), now + 10_000) is None
    assert not any(watched(watch, 50, beats(29, 2.9), now + 10_000))


def found(rank, stack=COLLECTIVE, state="S", step=40, **more):
    return Examined(rank, 120 + rank, "training", step, state, more.get("channel", ""), stack)


@pytest.mark.parametrize(
    ("ranks", "rank", "said"),
    [
        ([found(0), found(1, "", "T")], 1, "rank 1 (process 121) is stopped (SIGSTOP)"),
        ([found(0), found(1, "", "t")], 1, "held by a debugger"),
        ([found(0), found(1, "", "")], 1, "is gone"),
        (
            [found(0, "", "D", channel="nfs_wait"), found(1, "")],
            0,
            "waits for the kernel in nfs_wait (state D)",
        ),
        ([found(0, "", channel="futex"), found(1, SLEEP)], 0, "does not answer (state S, in futex)"),
        ([found(0), found(1), found(2, SLEEP)], 2, "hangs in plugin.py, line 7, forward"),
        ([found(0), found(1, QUEUE)], 1, "hangs in loader.py, line 160, batches"),
        ([found(0, BACKWARD), found(1, SLEEP, step=41)], 1, "hangs in plugin.py"),
        ([found(0), found(1, step=39)], 1, "rank 1 (process 121) is the furthest behind"),
        ([found(0), found(1)], 0, "all ranks wait for each other"),
        # a rank that is stopped is the one, whatever others are at
        ([found(0, SLEEP, step=1), found(1, "", "T", step=50)], 1, "SIGSTOP"),
    ],
)
def test_the_rank_that_others_wait_for_is_found(ranks, rank, said):
    silent = find_silent(ranks)
    assert silent.rank == rank
    assert said in silent.words
    assert f"state {silent.state or 'gone'}" in silent.evidence
