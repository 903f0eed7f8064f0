"""Two ranks that train with batch norms: saves at other moments change no bit, and a bad rank is named."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

from arcterm.errors import NotFiniteError
from arcterm.runs import checkpoints, store
from arcterm.runs.events import Step
from arcterm.runs.store import Run
from arcterm.train import build, loop, stepmodel
from arcterm.train.checkpoint import saver
from arcterm.train.feed.sampler import Sampler
from arcterm.train.guards import scale
from arcterm.train.guards.finite import FiniteGuard
from arcterm.train.guards.scale import GradientScale
from arcterm.train.statistics import averaged
from arcterm.train.world import World

from ..ranks import spawn
from ..runs.conftest import config
from .faulty import FLAT, Deviation, OneFlat, network, without_norms
from .test_loop import Dots, Heard, weights

pytestmark = pytest.mark.slow
STEPS, SAVED = 8, 5
MINED = {"loss": "triplet", "loss_options": {"bag": 30, "images_per_identity": 4}, "batch_size": 6}


class Rank:
    """One of two ranks, in a process of its own, which does one training after another."""

    def __init__(self, rank: int, folder: str) -> None:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
        self.world = World(rank, 2)
        self.folder = Path(folder)
        self.heard = Heard()

    def train(
        self, name: str, resume: Run | None = None, first=nn.Identity, data=Dots, net=network, **changes
    ) -> Run:
        """Train; returns the run, which both ranks have."""
        build.dataset = lambda config, set_aside=(): data()
        build.backbone = lambda config, device: net(first())
        settings = {"nproc": 2, "steps": STEPS, "epochs": 1, "batch_size": 4, "checkpoint_every": 100} | {
            "loss": "cosface", "precision": "float32", "keep_last": 99, "lr": 0.02, "schedule": "multistep",
        }  # fmt: skip
        asked = config(**{**settings, **changes})
        if self.world.first:
            run = store.create(self.folder / name, asked, label="x", argv=[], host="h")
            (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
        self.world.barrier()
        run = Run(next((self.folder / name).iterdir()))
        place = resume.checkpoints / checkpoints.name_of(SAVED) if resume else None
        self.heard = Heard()
        loop.train(run, 1, asked, self.world, self.heard, place)
        self.world.barrier()
        return run


def same(a: Run, b: Run) -> bool:
    ours, theirs = weights(a, STEPS), weights(b, STEPS)
    assert ours.keys() == theirs.keys()
    own = 16 if a.record.config.ema else 8
    assert len([name for name in ours if name.startswith("statistics-")]) == own
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@contextmanager
def for_good(backbone, world):
    """Averages the live statistics, and leaves it at that."""
    with averaged(backbone, world):
        kept = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    for name, buffer in backbone.named_buffers():
        buffer.copy_(kept[name])
    yield {}


def saves_change_nothing(ranks: Rank, kind: str, **how) -> None:
    whole = ranks.train(f"{kind}-whole", **how)
    often = ranks.train(f"{kind}-often", checkpoint_every=1, verify_every=3, **how)
    assert same(whole, often)
    assert same(whole, ranks.train(f"{kind}-resumed", resume=often, **how))
    longer = ranks.train(f"{kind}-longer", steps=STEPS + 3, verify_every=100, checkpoint_every=STEPS, **how)
    assert same(whole, longer)  # the state of a finished run is that of one that goes on


def parts_make_one_exchange_and_the_same_weights(ranks: Rank) -> None:
    exchanged = [0]

    def counted(backbone, world):
        wrapped = plain_distributed(backbone, world)
        wrapped.register_comm_hook(exchanged, count_exchanges)
        return wrapped

    plain_distributed, stepmodel._distributed = stepmodel._distributed, counted
    for how in ({}, {"sample_rate": 0.5}):
        runs, counts = [], []
        for batch, parts in ((4, 1), (2, 2), (1, 4)):
            exchanged[0] = 0
            name = f"parts-{parts}-{len(how)}"
            runs.append(ranks.train(name, net=without_norms, batch_size=batch, accumulate=parts, **how))
            counts.append(exchanged[0])
        assert counts[0] >= STEPS
        assert counts == [counts[0]] * 3
        whole, *others = (weights(run, STEPS) for run in runs)
        for name, tensor in whole.items():
            room = 1e-5 * max(1, float(tensor.abs().max()) if "momentum" in name else 0)
            assert all(torch.allclose(tensor, other[name], rtol=0, atol=room) for other in others), name
    stepmodel._distributed = plain_distributed


def count_exchanges(exchanged, bucket):
    exchanged[0] += 1
    return default_hooks.allreduce_hook(None, bucket)


def averaging_for_good_would_be_noticed(ranks: Rank) -> None:
    saver.averaged = for_good
    whole, often = ranks.train("a"), ranks.train("b", checkpoint_every=1)
    ours, theirs = weights(whole, STEPS), weights(often, STEPS)
    assert not all(torch.equal(ours[name], theirs[name]) for name in ours)
    saver.averaged = averaged


def the_bad_rank_is_named(ranks: Rank) -> None:
    place = Sampler(48, 4, 0, 2).order(0).tolist().index(FLAT)
    step, owner = place // 8 + 1, place % 8 // 4
    for policy, saved in (("stop", step), ("skip", STEPS)):
        caught: NotFiniteError | None = None
        try:
            ranks.train(f"flat-{policy}", first=Deviation, data=OneFlat, on_nan=policy, checkpoint_every=1)
        except NotFiniteError as error:
            caught = error
        if policy == "stop":
            assert caught is not None
            assert (caught.step, caught.rank, caught.tensor) == (step, owner, "the output of 0 (Deviation)")
        else:
            assert caught is None
        run = Run(next((ranks.folder / f"flat-{policy}").iterdir()))
        assert checkpoints.list_checkpoints(run)[-1][1].step == (saved - 1 if policy == "stop" else saved)
        if ranks.world.first:
            skipped = [e.step for e in ranks.heard if isinstance(e, Step) and e.skipped]
            assert skipped == [step]


def an_overflow_on_one_rank_is_all_ranks(ranks: Rank) -> None:
    undo, calls = GradientScale.undo, []

    def poisoned(self, gradients):
        calls.append(self.value)
        if ranks.world.rank == 1 and len(calls) == 3:  # after the average, so that rank 0 does not see it
            gradients[0].view(-1)[0] = torch.inf
        undo(self, gradients)

    GradientScale.undo, scale._FIRST = poisoned, 16.0
    how = {"precision": "float16", "checkpoint_every": 1, "loss": "normface", "loss_options": {"scale": 1.0}}
    run = ranks.train("overflow", **how)
    GradientScale.undo, scale._FIRST = undo, 2.0**16
    assert calls == [16.0] * 3 + [8.0] * (STEPS - 3), calls
    if ranks.world.first:
        assert [e.step for e in ranks.heard if isinstance(e, Step) and e.overflow] == [3]
    before, after, then = (weights(run, step) for step in (2, 3, 4))
    rows = [name for name in before if name.endswith(("/weight", "/3.weight"))]
    assert len(rows) == 4  # the backbone's and their momentum, and each rank's of the head
    assert all(torch.equal(before[name], after[name]) for name in rows)
    assert not any(torch.equal(after[name], then[name]) for name in rows)


def bad_rows_are_one_ranks(ranks: Rank) -> None:
    begin = FiniteGuard.begin

    def poisoned(guard):
        begin(guard)
        if ranks.world.rank == 1:
            with torch.no_grad():
                guard._trained.head.weight[1, 2] = torch.inf

    FiniteGuard.begin = poisoned
    with pytest.raises(NotFiniteError) as caught:
        ranks.train("rows")
    assert (caught.value.step, caught.value.rank) == (1, 1)
    assert caught.value.tensor == "the numbers of the head's weight"
    FiniteGuard.begin = begin


def in_rank(rank: int, folder: str) -> None:
    ranks = Rank(rank, folder)
    ramps = {"margin_schedule": "2:0.1,6:0.4", "scale_schedule": "0:16,5:64"}
    saves_change_nothing(ranks, "classes", ema=0.9, **ramps)
    saves_change_nothing(ranks, "mined", **MINED)
    averaging_for_good_would_be_noticed(ranks)
    parts_make_one_exchange_and_the_same_weights(ranks)
    the_bad_rank_is_named(ranks)
    bad_rows_are_one_ranks(ranks)
    an_overflow_on_one_rank_is_all_ranks(ranks)
    dist.destroy_process_group()


def test_two_ranks(tmp_path):
    """All in one pair of processes, whose start takes most of the time."""
    spawn(in_rank, (str(tmp_path),), 2)
