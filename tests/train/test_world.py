"""How a rank joins the others: what the process group is made of, with stand-ins for GPUs."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from arcterm.train.world import World


@pytest.fixture
def joined(tmp_path, monkeypatch):
    """``joined(device, rank, size)``: the world, and what `init_process_group` was given."""
    given = {}

    def note(backend, **options):
        given.clear()
        given.update(options, backend=backend)

    monkeypatch.setattr(dist, "init_process_group", note)
    monkeypatch.setattr(dist, "FileStore", lambda path, size: path)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: given.update(current=index))

    def join(device, rank, size):
        environment = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "ARCTERM_RENDEZVOUS": tmp_path}
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        return World.join(device), given

    return join


def test_ranks_on_gpus_name_theirs(joined):
    world, given = joined("cuda", 1, 2)
    assert given["device_id"] == world.device == torch.device("cuda", 1)
    assert given["backend"] == "cpu:gloo,cuda:nccl"


@pytest.mark.parametrize(("device", "rank", "size"), [("cuda", 0, 1), ("cpu", 1, 2)])
def test_a_rank_alone_and_ranks_on_the_cpu_name_none(joined, device, rank, size):
    world, given = joined(device, rank, size)
    assert "device_id" not in given
    assert (world.rank, world.size, world.device.type) == (rank, size, device)
