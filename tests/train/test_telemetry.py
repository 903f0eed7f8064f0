"""What the first rank of a host reports of its GPUs."""

from __future__ import annotations

import pytest

from arcterm.runs.events import Rank
from arcterm.train import telemetry
from arcterm.train.feed.pace import OwnTimes
from arcterm.train.world import World


@pytest.mark.parametrize(
    ("mode", "allowed", "cuda", "indices", "note"),
    [
        ("", None, True, [0, 1], ""),
        ("", "1", True, [1], ""),
        ("mig", "MIG-c013", True, [1], ""),
        ("", "", True, [], "hides every GPU"),
        ("", None, False, [], "2 GPUs are here, and this run is on the CPU"),
        ("none", None, False, [], "the NVIDIA driver reports no GPU"),
    ],
)
def test_a_run_reports_its_own_gpus_and_none_on_the_cpu(stand_in, mode, allowed, cuda, indices, note):
    stand_in(mode, allowed)
    found, said = telemetry._own(cuda)
    assert [gpu.index for gpu in found] == indices
    assert note in said and bool(note) == bool(said)


def test_a_rank_reports_what_its_steps_took_by_themselves_and_begins_anew(monkeypatch):
    monkeypatch.setattr(telemetry, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(telemetry, "_own", lambda cuda: ([], ""))
    own, written = OwnTimes(), []
    own.add(data=2.0, forward=10.0)
    own.add(data=4.0, forward=11.0)

    class Journal:
        def write(self, event):
            written.append(event)
            watch._stopped.set()

        def sync(self):
            """Nothing to make durable."""

    watch = telemetry.Telemetry(Journal(), World(rank=1, local_rank=1), own)
    watch._watch()
    assert [event.times for event in written if isinstance(event, Rank)] == [{"data": 3.0, "forward": 10.5}]
    assert own.take() == {}
