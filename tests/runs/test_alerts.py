"""What a person should hear of a live run, in sentences."""

from __future__ import annotations

from arcterm.runs.diagnosis import alerts
from arcterm.runs.events import Gpu, Message, Rank, Step
from arcterm.runs.reading.summary import Summary


def step(number, **changes):
    fields = {"epoch": 1, "loss": 5.0, "accuracy": 0.5, "angle": 60.0, "lr": 0.1, "images_per_second": 9.0}
    return Step(step=number, t=float(number), samples=number, **{"data_wait": 0.0} | fields | changes)


def fed(*events, attempt=1):
    summary = Summary()
    summary.feed((attempt, event) for event in events)
    return summary


def texts(summary, gpus=()):
    return [alert.text for alert in alerts.find(summary, [("host", gpu) for gpu in gpus])]


def rank(number, **times):
    return Rank(rank=number, cpu=1.0, memory=1, times=times)


def test_a_rank_that_holds_the_others_up_is_named_with_its_reason():
    alike = [rank(number, data=1.0, forward=60.0 + number) for number in range(8)]
    assert texts(fed(*alike)) == []
    slow = texts(fed(*alike, rank(3, data=1.0, forward=95.0)))
    assert slow == ["rank 3 is slow: 96 ms a step by itself, the others 65 ms"]
    assert texts(fed(*alike[:1], rank(1, data=40.0, forward=60.0))) == [
        "rank 1 is slow: 100 ms a step by itself, the others 61 ms; 40 ms of it waits for images"
    ]


def test_ranks_of_older_runs_and_single_ones_are_never_slow():
    assert texts(fed(rank(0), rank(1))) == []
    assert texts(fed(rank(0, data=1.0, forward=900.0))) == []


def test_a_loss_that_is_none_and_waiting_for_images_are_said():
    waiting = fed(*(step(number, data_wait=0.4) for number in range(1, 51)))
    assert "40% of the last 50 steps were spent waiting for images" in texts(waiting)[0]
    assert texts(fed(step(7, loss="nan"))) == ["the loss of step 7 is nan"]


def test_hot_gpus_and_those_that_are_held_down_are_named():
    gpus = [Gpu(index=i, name="H200", utilisation=97.0, clock=1400.0, temperature=60.0) for i in range(4)]
    assert texts(fed(), gpus) == []
    gpus[2] = Gpu(index=2, name="H200", utilisation=97.0, clock=900.0, temperature=88.0)
    assert [text.partition(":")[0] for text in texts(fed(), gpus)] == [
        "GPU 2 is at 88 °C and slows down",
        "GPU 2 runs at 900 MHz, the others at 1,400 MHz",
    ]
    assert texts(fed(), [Gpu(index=i, name="a GPU that answers nothing") for i in range(8)]) == []


def test_the_messages_of_an_attempt_go_once_a_later_one_has_made_a_step():
    summary = fed(step(1), Message(level="error", text="out of memory"))
    summary.feed([(2, Message(level="info", text="relaunched"))])
    assert [message.text for message in summary.messages] == ["out of memory", "relaunched"]
    summary.feed([(2, step(2))])
    assert [message.text for message in summary.messages] == ["relaunched"]
