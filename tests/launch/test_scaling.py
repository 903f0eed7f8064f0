"""What a training takes on N hosts, from constants that are written down here."""

from __future__ import annotations

import pytest
from arcterm_registry import get
from arcterm_registry.contracts import DatasetFacts
from msgspec.structs import replace

from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.launch.estimate.footprint import Footprint, Growth
from arcterm.launch.estimate.need import Subject
from arcterm.launch.scaling import constants as files
from arcterm.launch.scaling import traffic
from arcterm.launch.scaling.constants import (
    Collective,
    Constants,
    Decoding,
    HeadPoint,
    Machine,
    Network,
    RankPace,
    Storage,
    Traffic,
)
from arcterm.launch.scaling.forecast import Case, forecast
from arcterm.launch.scaling.layout import HostLayout, rows

MIB, GIB = 1 << 20, 1 << 30
FOUND = Footprint(weights=MIB, gradients=MIB, momentum=MIB, beyond={"step": Growth(0, MIB)})
PACE = RankPace(
    steps=5,
    images=8,
    forward=0.08,
    backward=0.16,
    update=0.01,
    # 0.01 + 1e-5 a row + 1e-7 a row and embedding; the update 1e-6 a row
    head=[
        HeadPoint(1000, 32, 0.0232, 0.001),
        HeadPoint(500, 32, 0.0166, 0.0005),
        HeadPoint(1000, 16, 0.0216, 0.001),
    ],
)
SENT = Traffic([Collective("all_gather", 32 * 128 * 4), Collective("all_reduce", 8)], 26 * MIB)
KNOWN = Constants(
    machine=Machine(name="here", processor="a CPU", cores=2, memory=8 * GIB),
    ranks=2,
    pace=PACE,
    alone=replace(PACE, forward=0.04, backward=0.08),
    exchange={
        "all_reduce": [(1024, 0.001), (MIB, 0.011), (25 * MIB, 0.251)],
        "all_gather": [(1024, 0.002), (MIB, 0.012)],
    },
    exchange_ranks=2,
    loader=Decoding(rate=1000.0, cpu=0.0005),
    storage=Storage(alone=100e6, together=80e6, copy=1e9, total=1e9, start=0.25),
    network=Network(bytes_per_second=1e9, latency=1e-4, source="the data sheet"),
)


def case(hosts=1, ranks=2, constants=KNOWN, classes=2000, **changed):
    config = TrainConfig(
        **{
            "backbone": "tiny",
            "loss": "arcface",
            "dataset": "synthetic",
            "device": "cpu",
            "nproc": hosts * ranks,
            "hosts": hosts,
            "batch_size": 16,
            "epochs": 1,
            "steps": 100,
            "lr": 0.1,
            **changed,
        }
    )
    facts = DatasetFacts(images=64_000, classes=classes, image_size=(112, 112), fingerprint="f")
    subject = Subject(get("backbone", "tiny"), get("loss", "arcface"), facts)
    return Case(subject, config, HostLayout(hosts, ranks), constants, SENT)


def test_the_parts_of_a_step_add_up():
    made = forecast(case(), FOUND)
    step = made.step
    assert (step.forward, step.backward) == pytest.approx((0.16, 0.32))
    assert (step.head, step.update) == pytest.approx((0.0232, 0.011))
    # the gathered embeddings lie between two measured sizes, the flag costs what the smallest does
    gather = 0.002 + 0.01 * (32 * 128 * 4 - 1024) / (MIB - 1024)
    assert step.embeddings == pytest.approx(gather + 0.001)
    assert step.gradients == pytest.approx(0.011 + 0.251)  # the first bucket of DDP's is smaller
    assert step.decoding == pytest.approx(2 * 16 * 0.0005 / 2)  # both cores are the ranks' own
    assert step.waiting == 0
    assert made.images_per_second == pytest.approx(32 / step.whole)
    assert made.epoch == pytest.approx(step.whole * 2000)
    assert made.limit == "computing the backbone"
    assert made.unknown == []


def test_the_head_of_other_sizes_lies_on_the_plane_through_what_was_tried():
    made = forecast(case(hosts=2, ranks=2, classes=8000), FOUND).step
    assert made.head == pytest.approx(0.01 + 2e-5 + 0.0 + 1e-7 * 2000 * 64 + 1e-5 * 2000 - 2e-5, rel=0.05)


def test_between_hosts_the_network_takes_what_no_algorithm_can_undercut():
    layout = HostLayout(2, 2)
    within = 0.011 * (1 / 2) / (1 / 2)
    between = 2 * MIB / 2 / 1e9 + 2 * 3 * 1e-4
    assert traffic.seconds(KNOWN, layout, "cpu", "all_reduce", MIB) == pytest.approx(within + between)
    trees = 2 * MIB / 2 / 1e9 + 2 * 1 * 1e-4
    assert traffic.seconds(KNOWN, layout, "cuda", "all_reduce", MIB) == pytest.approx(within + trees)
    assert traffic.seconds(KNOWN, layout, "cpu", "reduce_scatter", MIB) is None
    assert traffic.volume(HostLayout(4, 1), "all_reduce", 1000) == 1500


def test_a_gpu_hides_all_but_the_last_bucket_behind_the_backward_pass():
    on_gpus = case(device="cuda", gpus=[0, 1])
    step = forecast(on_gpus, FOUND).step
    assert step.hidden == pytest.approx(0.011)
    assert step.gradients == pytest.approx(0.251)
    assert step.decoding == 0


def test_a_loader_that_is_too_slow_is_waited_for():
    slow = replace(KNOWN, loader=Decoding(rate=10.0, cpu=0.0))
    made = forecast(case(constants=slow), FOUND)
    assert made.step.whole == pytest.approx(1.6)
    assert made.limit == "decoding images"
    assert made.demand == pytest.approx(made.supply)


def test_a_host_writes_its_own_class_rows_and_the_first_the_backbone():
    saving = forecast(case(hosts=2, ranks=1), FOUND).saving
    row = 2 * 128 * 4
    assert saving.bytes == pytest.approx(2 * MIB + 2000 * row, rel=0.1)
    assert saving.bytes - saving.host == 1000 * row
    written = max(saving.host / 80e6, saving.host / 100e6, saving.bytes / 1e9)
    assert saving.seconds == pytest.approx(0.25 + written)
    assert saving.wait == pytest.approx(saving.host / 1e9)


def test_ranks_have_all_classes_between_them():
    made = forecast(case(hosts=3, ranks=1, classes=1000), FOUND)
    assert [(one.first, one.last) for one in made.head] == [(0, 332), (333, 665), (666, 999)]
    assert [one.weights for one in made.head] == [333 * 512, 333 * 512, 334 * 512]
    assert sum(len(rows(100_000_001, rank, 7)) for rank in range(7)) == 100_000_001


def test_what_is_not_known_is_said_and_no_number_is_made_of_it():
    nothing = Constants(machine=KNOWN.machine)
    made = forecast(case(hosts=2, constants=nothing), FOUND)
    assert made.step.whole is None
    assert (made.images_per_second, made.epoch, made.efficiency, made.saving.seconds) == (None,) * 4
    assert made.need.total > 0
    assert len(made.unknown) == 5
    made = forecast(case(hosts=2, constants=replace(KNOWN, network=None)), FOUND)
    assert made.step.whole is None
    assert made.step.known > 0
    assert made.unknown == [
        "the network between hosts: [network] bytes_per_second and latency in --constants FILE"
    ]


def test_constants_are_written_as_toml_and_read_again(tmp_path):
    path = tmp_path / "here.toml"
    files.write(path, KNOWN)
    assert files.read(path) == KNOWN
    assert files.read(path).digest == KNOWN.digest
    path.write_text("[machine]\nname = 3\n")
    with pytest.raises(ConfigError, match="has no constants of a plan"):
        files.read(path)
