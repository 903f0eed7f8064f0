"""What a training needs against what is there, before it starts."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
from arcterm_registry import get
from arcterm_registry.contracts import DatasetFacts
from msgspec import to_builtins
from msgspec.structs import replace

from arcterm.config import TrainConfig
from arcterm.errors import ConfigError, DataError
from arcterm.launch import start
from arcterm.launch.estimate import assess, footprint, need, room
from arcterm.launch.estimate.footprint import Footprint, Growth
from arcterm.launch.estimate.verdict import ERROR, fits, gib, never_fits
from arcterm.launch.plan import make_plan
from arcterm.overrides import merge, parse_assignments
from arcterm.processes.child import Child
from arcterm.settings import FLAGS

MIB, GIB = 1 << 20, 1 << 30
FOUND = Footprint(
    weights=100 * MIB,
    gradients=100 * MIB,
    momentum=100 * MIB,
    beyond={"step": Growth(50 * MIB, 20 * MIB), "verify": Growth(300 * MIB, MIB)},
)
LEANER = Footprint(
    weights=100 * MIB, gradients=100 * MIB, momentum=100 * MIB, beyond={"step": Growth(50 * MIB, 2 * MIB)}
)
OPTIONS = {"classes": 8, "images": 5000}
POOL = {"classes": 9, "images": 100, "seed": 0, "decoded": False}


@pytest.fixture(autouse=True)
def followed(monkeypatch):
    """Nothing is followed in a process, and nothing is known of earlier."""

    def never(*_: object) -> None:
        raise AssertionError("no process is needed")

    monkeypatch.setattr(footprint, "follow", never)
    monkeypatch.setattr(footprint, "known", lambda *_: None)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(
        footprint, "known", lambda _, config: LEANER if config.gradient_checkpointing else FOUND
    )
    monkeypatch.setattr(footprint, "follow", footprint.known)


def ask(tmp_path, look="quick", **settings):
    given = {"backbone": "tiny", "loss": "arcface", "dataset": "synthetic", "dataset_options": OPTIONS}
    return make_plan({**given, **settings}, root=tmp_path, look=look)


def have(monkeypatch, size):
    monkeypatch.setattr(room, "host_memory", lambda: size)


def memory(plan):
    return next(note for note in plan.notes if note.startswith("memory"))


def asked_by(command):
    """The settings of a command as `make_plan` takes them."""
    words = shlex.split(command)
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    flags = {
        name: words[words.index(flag) + 1]
        for name in FLAGS
        if (flag := f"--{name.replace('_', '-')}") in words
    }
    numbers = {name: int(text) if text.isdecimal() else text for name, text in flags.items()}
    named = {"backbone": words[2], "loss": words[3], "dataset": words[words.index("--dataset") + 1]}
    return merge(parse_assignments(sets), {**named, **numbers})


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0.00"),
        (300 << 10, "0.0003"),
        (3 << 20, "0.003"),
        (6 << 20, "0.01"),
        (1 << 30, "1.00"),
        (20 << 30, "20.0"),
    ],
)
def test_bytes_are_never_said_to_be_none(size, said):
    assert gib(size) == said


def test_the_parts_are_said_and_the_largest_batch(tmp_path, known, monkeypatch):
    have(monkeypatch, 8 * GIB)
    plan = ask(tmp_path)
    assert memory(plan) == (
        "memory    1.28 GiB a rank: weights 0.10, gradients 0.10, momentum 0.10, activations 0.67, "
        "buffers 0.01, program 0.30; 8.00 GiB free; batches up to 319 fit"
    )
    assert plan.estimate.refusal is None
    built = plan.estimate.to_builtins()
    assert built["total"] == sum(size for part, size in built["need"].items() if part != "shared")
    assert (built["free"], built["largest"], built["problem"]) == (8 * GIB, 319, "")


def test_the_copy_of_a_checkpoint_is_said_beside_what_a_rank_needs(tmp_path, known, monkeypatch):
    have(monkeypatch, 8 * GIB)
    plan = ask(tmp_path)
    needed, size = plan.estimate.need.total, plan.estimate.checkpoint
    assert (plan.estimate.copy, plan.estimate.wait) == (size, False)
    assert "saving    while steps go on, from a copy in memory: 0.20 GiB beside the above" in plan.notes
    have(monkeypatch, needed + size)
    tight = ask(tmp_path)
    assert (tight.estimate.wait, tight.estimate.refusal) == (True, None)
    assert any(note.startswith("saving    steps wait for it: the memory for a copy") for note in tight.notes)
    assert ask(tmp_path, checkpoint_background=False).estimate.copy == 0


def test_ranks_share_the_memory_of_the_host(tmp_path, known, monkeypatch):
    have(monkeypatch, 8 * GIB)
    assert ask(tmp_path, nproc=2).estimate.free == 4 * GIB
    cached = ask(tmp_path, nproc=2, decoded_cache=100).estimate
    assert cached.need.shared == 100 * MIB
    assert cached.free == 4 * GIB - 50 * MIB


def test_what_is_no_closer_than_its_own_error_is_a_note(tmp_path, known, monkeypatch):
    total = ask(tmp_path).estimate.need.total
    have(monkeypatch, total)
    plan = ask(tmp_path)
    assert plan.estimate.refusal is None
    assert (
        "note      the memory may not suffice: the estimate is about as large as what is free" in plan.notes
    )
    assert not fits(total, total * (1 + ERROR) - 1)
    assert never_fits(total, total / (1 + ERROR) - 1)
    assert not never_fits(total, total / (1 + ERROR) + 1)


@pytest.mark.parametrize("free", [580, 770, 830, 880, 1070, 1180])
@pytest.mark.parametrize("settings", [{}, {"loss": "triplet"}, {"nproc": 2, "seed": 7}], ids=str)
def test_what_can_not_fit_is_refused_with_a_command_that_does(tmp_path, known, monkeypatch, free, settings):
    have(monkeypatch, free * MIB * settings.get("nproc", 1))
    plan = ask(tmp_path, "tight", batch_size=60, **settings)
    refusal = plan.estimate.refusal
    assert isinstance(refusal, ConfigError)
    assert "a rank needs" in refusal.message
    assert any(note.startswith("problem   a rank needs") for note in plan.notes)
    with pytest.raises(ConfigError, match="a rank needs"):
        start.start(plan, tmp_path)
    assert not list(tmp_path.iterdir())
    if free < 780 and "nproc" not in settings:  # not even one image
        assert not plan.estimate.command
        return
    again = make_plan(asked_by(plan.estimate.command), root=tmp_path)
    assert again.config.seed == settings.get("seed", 0)
    assert again.config.loss == plan.config.loss
    assert fits(again.estimate.need.total, again.estimate.free)
    assert again.estimate.refusal is None


def test_a_batch_that_does_not_fit_is_taken_in_parts_that_do(tmp_path, known, monkeypatch):
    have(monkeypatch, 2700 * MIB)
    found = ask(tmp_path, batch_size=128).estimate
    assert 64 <= found.largest < 128
    again = make_plan(asked_by(found.command), root=tmp_path)
    assert (again.config.batch_size, again.config.accumulate, again.config.global_batch) == (64, 2, 128)
    assert not again.estimate.problem
    one = ask(tmp_path, batch_size=64).estimate.need
    assert again.estimate.need.activations == one.activations
    assert again.estimate.need.buffers > one.buffers  # batches ahead are those of whole steps


def test_blocks_are_computed_twice_where_no_batch_fits_otherwise(tmp_path, known, monkeypatch):
    have(monkeypatch, 1020 * MIB)
    monkeypatch.setattr(
        footprint,
        "known",
        lambda _, config: (
            LEANER
            if config.gradient_checkpointing
            else Footprint(weights=MIB, gradients=MIB, momentum=MIB, beyond={"step": Growth(2 * GIB, MIB)})
        ),
    )
    plan = ask(tmp_path, "tight")
    assert "--batch-size 32 --set gradient_checkpointing=true" in plan.estimate.command


@pytest.mark.long
def test_a_process_looks_only_where_a_bound_does_not_settle_it(tmp_path, monkeypatch):
    have(monkeypatch, 64 * GIB)
    assert "GiB a rank at most; 64.0 GiB free" in memory(ask(tmp_path, "tight"))
    have(monkeypatch, GIB)
    with pytest.raises(AssertionError, match="no process"):
        ask(tmp_path, "tight")
    assert ask(tmp_path, "quick", batch_size=2000).estimate.refusal is None  # a bound refuses nothing
    monkeypatch.setattr(footprint, "follow", lambda *_: "it has no forward")
    plan = ask(tmp_path, "full")
    assert memory(plan) == "memory    unknown: it has no forward; 1.00 GiB free"
    assert plan.estimate.refusal is None


def test_the_bound_is_no_less_than_what_was_followed():
    # MiB that networks take beyond weights, gradients and momenta, as followed: float32, batch 8
    measured = {"m2": 1638, "y1": 383, "r50": 1228, "d121": 2637}
    for name, mebibytes in measured.items():
        found = footprint.bound(get("backbone", name), ask_config(name))
        assert found.activations(8, verifies=True) > 2 * mebibytes * MIB


def ask_config(backbone, **settings):
    numbers = {"device": "cpu", "nproc": 1, "batch_size": 8, "epochs": 1, "steps": 1, "lr": 0.1}
    return TrainConfig(backbone=backbone, loss="arcface", dataset="demo", **{**numbers, **settings})


TERMS = 10**6 * 8 * 4  # of a million classes and a batch of 8, which stay for the way back


def test_class_rows_that_are_updated_in_passing_have_no_gradient():
    facts = DatasetFacts(images=10**7, classes=10**6, image_size=(112, 112), fingerprint="f", verification={})
    subject = need.Subject(get("backbone", "r50"), get("loss", "arcface"), facts)
    rows, tile = 10**6 * 512 * 4, 32 * MIB
    for optimizer, copies in (("sgd", 2), ("adamw", 3)):
        config = ask_config("r50", optimizer=optimizer, row_update="backward")
        assert copies * rows < need.of(subject, config, FOUND).head < copies * rows + tile + TERMS + 10 * MIB


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        ({}, 3),
        ({"momentum": 0.0}, 2),
        ({"optimizer": "adamw"}, 4),
        ({"optimizer": "legacy", "momentum": 0.0}, 3),
    ],
)
def test_class_rows_count_as_often_as_the_optimizer_has_them(settings, copies):
    facts = DatasetFacts(images=10**7, classes=10**6, image_size=(112, 112), fingerprint="f", verification={})
    subject = need.Subject(get("backbone", "r50"), get("loss", "arcface"), facts)

    def head(**more):
        return need.of(subject, ask_config("r50", **settings, **more), FOUND).head

    rows = 10**6 * 512 * 4
    assert copies * rows < head() < copies * rows + TERMS + 10 * MIB
    assert (
        head(nproc=4) - TERMS < (head() - TERMS) / 3.9
    )  # the batch of four ranks against a quarter of the rows
    if "optimizer" not in settings and settings.get("momentum", 1):
        assert head(sample_rate=0.1) < 2.4 * rows


def test_frozen_class_rows_have_neither_gradient_nor_momentum():
    facts = DatasetFacts(images=10**7, classes=10**6, image_size=(112, 112), fingerprint="f", verification={})
    subject = need.Subject(get("backbone", "r50"), get("loss", "arcface"), facts)
    rows = 10**6 * 512 * 4
    assert rows < need.of(subject, ask_config("r50", freeze="head"), FOUND).head < rows + TERMS + 10 * MIB


def test_the_batches_of_a_step_in_parts_lie_on_the_gpu_whole():
    facts = DatasetFacts(images=10**4, classes=100, image_size=(112, 112), fingerprint="f", verification={})
    subject = need.Subject(get("backbone", "r50"), get("loss", "arcface"), facts)
    gpu = {"device": "cuda", "gpus": [0], "batch_size": 64}
    image = 3 * 112 * 112
    for parts in (1, 4):
        buffers = need.of(subject, ask_config("r50", accumulate=parts, **gpu), FOUND).buffers
        assert buffers == 7 * parts * 64 * image


def test_groups_limit_what_the_host_has(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    for group, limit, used, cached in (
        ("", "max", 0, 0),
        ("a", 3 * MIB, 2 * MIB, MIB),
        ("a/b", "max", MIB, 0),
    ):
        folder = tmp_path / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"active_file 0\ninactive_file {cached}\n")
    assert room.host_memory(tmp_path, own) == 2 * MIB
    own.write_text("9:cpu:/x\n4:memory:/docker/1\n0::/\n")
    older = tmp_path / "memory"
    older.mkdir()
    (older / "memory.limit_in_bytes").write_text("9223372036854771712")
    (older / "memory.usage_in_bytes").write_text("5")
    assert room.host_memory(tmp_path, own) > 2 * MIB
    (older / "memory.limit_in_bytes").write_text(str(MIB))  # its own group, which a container sees as the top
    assert room.host_memory(tmp_path, own) == MIB - 5
    assert room.host_memory(tmp_path, tmp_path / "gone") > 2 * MIB


def test_the_tightest_gpu_counts_and_strangers_on_it_are_named(tmp_path, known, stand_in, monkeypatch):
    monkeypatch.setenv("NVML_STAND_IN_PID", str(os.getpid()))
    monkeypatch.setattr("arcterm.launch.devices.torch_version", lambda: "2.13.0+cu130")
    stand_in("busy")
    monkeypatch.setattr(room, "missing_compiler", lambda cplusplus: "")
    plan = ask(tmp_path, gpus="0")
    assert "109.0 GiB free on GPU 0" in memory(plan)
    me = f"(process {os.getpid()} of "
    assert any("GPU 0: " in note and me in note and "holds 30.0 GiB" in note for note in plan.notes)
    stand_in("")
    assert not any("holds" in note for note in ask(tmp_path, gpus="0").notes)
    assert "free" not in memory(ask(tmp_path, gpus="1"))  # it does not say
    refused = ask(tmp_path, "tight", gpus="0", batch_size=5000).estimate
    assert "were free on GPU 0" not in refused.problem


def test_a_rank_of_ours_is_called_by_its_run(tmp_path):
    program = "import sys; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", program, "arcterm.processes.rank", "/x/my-run", "1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert room._describe(process.pid, 3 * GIB) == f"run my-run (process {process.pid}) holds 3.0 GiB"
        process.communicate()
    assert room._describe(process.pid, None) == f"process {process.pid} holds some memory"


def test_what_compiles_needs_a_compiler_and_headers(tmp_path, known, monkeypatch):
    have(monkeypatch, 64 * GIB)
    assert not ask(tmp_path, compile=True).estimate.problem
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    found = ask(tmp_path, compile=True).estimate
    assert "to compile the backbone, there is no C++ compiler" in found.problem
    assert "--compile" not in found.command
    assert not ask(tmp_path).estimate.problem


def test_checkpoints_need_room_on_the_disk(tmp_path, known, monkeypatch):
    have(monkeypatch, 64 * GIB)
    size = ask(tmp_path).estimate.checkpoint
    assert 200 * MIB < size < 201 * MIB
    monkeypatch.setattr("arcterm.runs.space.free_bytes", lambda _: 4 * size)
    found = ask(tmp_path).estimate
    assert "the checkpoints to be kept take 0.98 GiB, and 0.78 are free on the disk" in found.problem
    assert not make_plan(asked_by(found.command), root=tmp_path).estimate.problem
    monkeypatch.setattr("arcterm.runs.space.free_bytes", lambda _: size)
    plan = ask(tmp_path)
    assert any(note.startswith("note      the checkpoints to be kept take") for note in plan.notes)


def test_a_rank_holds_what_its_training_imports_and_does():
    def needed(verification=None, **settings):
        sets = verification or {}
        facts = DatasetFacts(
            images=10**4, classes=100, image_size=(112, 112), fingerprint="f", verification=sets
        )
        subject = need.Subject(get("backbone", "r50"), get("loss", "arcface"), facts)
        both = {"step": Growth(0, MIB), "look": Growth(100 * MIB, 0), "verify": Growth(300 * MIB, MIB)}
        return need.of(subject, ask_config("r50", **settings), replace(FOUND, beyond=both))

    alone, verifying = needed(), needed({"lfw": 600})
    assert (alone.activations, verifying.activations) == (100 * MIB, 308 * MIB)
    # SymPy comes with folding, and with torch's compiler, which DDP and the recomputing of blocks import
    assert alone.program < verifying.program < needed(nproc=2).program
    assert needed(gradient_checkpointing=True).program == needed({"lfw": 600}, nproc=2).program
    assert needed(nproc=2).buffers == alone.buffers  # DDP's buckets are the gradients


def test_little_shared_memory_is_remarked_for_several_gpus(monkeypatch):
    monkeypatch.setattr(room, "shared_memory", lambda: 64 * MIB)
    several = ask_config("r50", device="cuda", gpus=[0, 1], nproc=2)
    assert "has 64 MiB free" in assess._shared_memory(several)[0]
    assert not assess._shared_memory(ask_config("r50"))


def test_the_time_is_tried_where_it_is_worth_knowing(tmp_path, known, monkeypatch):
    have(monkeypatch, 64 * GIB)
    monkeypatch.setenv("ARCTERM_CACHE", str(tmp_path / "cache"))
    asked = []

    def answer(self, request, progress=None):
        asked.append(request)
        batch = request["config"]["batch_size"]
        head = [{"rows": 8, "batch": batch, "seconds": 0.4, "update": 0.0}]
        own = {"steps": 3, "images": 8, "forward": 0.2, "backward": 0.2, "update": 0.0}
        return {"pace": {**own, "head": head}}

    monkeypatch.setattr(Child, "ask", answer)
    plan = ask(tmp_path, "full", batch_size=32, steps=100)
    assert plan.seconds == pytest.approx(2.0 * 100)
    assert "time      3 min, 2 s a step, by 3 steps of 8 images tried here" in plan.notes
    assert (asked[0]["classes"], asked[0]["config"]["batch_size"]) == (plan.facts.classes, 32)
    assert not ask(tmp_path, "tight", batch_size=32, steps=100).notes[-1].startswith("time")
    assert "2 h 47 min" in ask(tmp_path, "tight", backbone="r100", batch_size=32, steps=5000).warning
    ask(tmp_path, "quick", backbone="r100", batch_size=32, steps=5000)
    assert len(asked) == 2
    have(monkeypatch, MIB)
    assert ask(tmp_path, "full", batch_size=32, steps=100).estimate.problem
    assert len(asked) == 2


def test_where_no_step_can_be_tried_the_plan_says_so(tmp_path, known, monkeypatch):
    have(monkeypatch, 64 * GIB)
    monkeypatch.setenv("ARCTERM_CACHE", str(tmp_path / "cache"))

    def refuse(self, request, progress=None):
        raise DataError("backbone 'tiny' can't be made")

    monkeypatch.setattr(Child, "ask", refuse)
    (line,) = [note for note in ask(tmp_path, "full", steps=9).notes if note.startswith("time")]
    assert line.endswith("by arithmetic: no step could be tried (backbone 'tiny' can't be made)")


@pytest.mark.slow
def test_a_plan_that_can_not_fit_is_shown_and_refused_only_where_it_would_start(tmp_path):
    command = [
        *(sys.executable, "-m", "arcterm", "train", "y1", "cosface", "--runs-dir", str(tmp_path / "runs")),
        *("--dataset", "synthetic", "--set", "dataset.images=5000", "--set", "dataset.classes=9"),
        *("--batch-size", "4990"),
    ]
    env = {**os.environ, "ARCTERM_CACHE": str(tmp_path / "cache")}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], env=env, capture_output=True, text=True, check=False)

    shown = run("--dry-run", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)["estimate"]
    assert found["exact"]
    assert not found["remark"]
    assert "problem   a rank needs" in shown.stderr
    assert 50 * GIB < found["need"]["activations"] < 200 * GIB
    assert 1 <= found["largest"] < asked_by(found["command"])["batch_size"] < 4990  # blocks computed twice
    refused = run()
    assert refused.returncode == 2
    assert "this does: `arcterm train y1 cosface" in refused.stderr
    assert not (tmp_path / "runs").exists()
    assert "tried here" not in shown.stderr


@pytest.mark.slow
def test_steps_collectives_loader_and_disk_are_tried(tmp_path):
    asked = replace(ask_config("tiny", batch_size=6, nproc=2), dataset="synthetic", dataset_options=POOL)
    request = {"config": to_builtins(asked), "ranks": 2, "classes": 9, "free": GIB, "folder": str(tmp_path)}
    wanted = ["pace", "exchange", "loader", "disk", "traffic"]
    counted: list[tuple[int, int]] = []
    answer = Child("arcterm.train.footprint.tool", "constants").ask(
        {**request, "wanted": wanted}, lambda done, total, what="": counted.append((done, total))
    )
    assert counted[0] == (0, 12)
    assert counted[-1] == (12, 12)
    assert counted == sorted(counted)
    pace = answer["pace"]
    assert pace["images"] == 6
    assert 2 <= pace["steps"] <= 15
    assert [(one["rows"], one["batch"]) for one in pace["head"]] == [(5, 12), (2, 12), (5, 6)]
    assert all(pace[part] > 0 for part in ("forward", "backward", "update"))
    assert {one["operation"] for one in answer["traffic"]["exchanges"]} == {
        "all_gather",
        "all_to_all",
        "all_reduce",
        "reduce_scatter",
    }
    assert all(len(points) == 4 for points in answer["exchange"].values())
    assert answer["loader"]["rate"] > 0
    assert all(number > 0 for number in answer["disk"].values())
    assert list(tmp_path.iterdir()) == []
    triplet = {**request, "config": to_builtins(replace(asked, loss="triplet")), "wanted": ["pace"]}
    assert Child("arcterm.train.footprint.tool", "constants").ask(triplet)["pace"]["head"]
