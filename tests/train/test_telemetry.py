"""What the first rank of a host reports of its GPUs."""

from __future__ import annotations

import pytest

from arcterm.train import telemetry


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
