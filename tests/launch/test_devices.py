"""Where a run works, and what is said where that is not on the GPUs that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm.config import job_config
from arcterm.errors import ConfigError, RunError
from arcterm.launch import devices, engine, start
from arcterm.launch.plan import make_plan
from arcterm.launch.resume import resumption
from arcterm.processes import command
from arcterm.runs import state, store
from arcterm.runs.store import Run

from ..runs.conftest import config
from ..runs.test_checkpoints import save

FACTS = DatasetFacts(images=5000, classes=10, image_size=(112, 112), fingerprint="f")


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    """``torch("2.13.0+cpu", requires=[…])``: that build is installed; at first one for CUDA 13."""

    def install(version: str, requires: tuple[str, ...] = ()) -> None:
        monkeypatch.setattr(devices.metadata, "version", lambda name: version)
        monkeypatch.setattr(devices.metadata, "requires", lambda name: list(requires))

    install("2.13.0+cu130")
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", lambda *_: FACTS)
    monkeypatch.setattr("arcterm.gpus._on_the_bus", lambda: False)
    return install


def planned(**settings):
    """The config of a plan, and its line on devices."""
    made = make_plan({"backbone": "tiny", "loss": "arcface", "dataset": "demo", **settings})
    lines = [note.removeprefix("device    ") for note in made.notes if note.startswith("device ")]
    assert len(lines) < 2
    return made.config, lines[0] if lines else ""


def test_gpus_are_used_without_a_word(stand_in):
    stand_in()
    made, said = planned()
    assert (made.device, made.gpus, made.nproc, said) == ("cuda", [0, 1], 2, "")


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.11.0+rocm6.4", "2.13.0+xpu"])
def test_a_pytorch_without_cuda_is_said_and_what_to_install(stand_in, torch, version):
    stand_in()
    torch(version)
    made, said = planned()
    assert (made.device, made.gpus) == ("cpu", [])
    assert said.startswith("the CPU: 2 GPUs here (Stand-in H200), but ")
    assert f"PyTorch {version} is built without CUDA: install a PyTorch with CUDA" in said
    for wanted in ("0", "0,0"):
        with pytest.raises(ConfigError, match="built without CUDA") as error:
            planned(gpus=wanted)
        assert "--gpus" in str(error.value)


@pytest.mark.parametrize(
    ("version", "machine", "requires", "has"),
    [
        ("2.13.0", "x86_64", (), True),
        ("2.13.0+cu130", "aarch64", (), True),
        ("2.13.0", "aarch64", (), False),
        ("2.13.0", "aarch64", ("nvidia-cublas-cu12 (==12.6.4.1); platform_system == 'Linux'",), True),
        ("2.13.0a0+gitabc", "x86_64", (), True),
        ("2.13.0+cpu", "x86_64", (), False),
        ("2.13.0+cpu.cxx11.abi", "x86_64", (), False),
    ],
)
def test_which_builds_have_cuda(torch, monkeypatch, version, machine, requires, has):
    torch(version, requires)
    monkeypatch.setattr(devices.platform, "machine", lambda: machine)
    assert devices.torch_has_cuda() is has


@pytest.mark.parametrize(
    ("version", "requires", "fits"),
    [
        ("2.13.0+cu130", (), False),
        ("2.11.0+cu118", (), True),
        ("2.13.0", ("nvidia-cuda-runtime-cu12==12.8.90; platform_system == 'Linux'",), False),
        ("2.13.0", ("filelock", "cuda-toolkit[cublas,cudart]==13.0.2; platform_system == 'Linux'"), False),
        ("2.13.0", ("filelock",), True),
    ],
)
def test_a_driver_that_is_too_old(stand_in, torch, version, requires, fits):
    stand_in("old")
    torch(version, requires)
    made, said = planned()
    assert made.device == ("cuda" if fits else "cpu")
    assert fits == (said == "")
    if not fits:
        assert "the NVIDIA driver knows CUDA 11.8 and PyTorch" in said and "install a newer driver" in said
        with pytest.raises(ConfigError, match=r"knows CUDA 11\.8"):
            planned(gpus="0")


@pytest.mark.parametrize(
    ("mode", "allowed", "gpus", "said"),
    [
        ("mismatch", None, [], "the CPU: the NVIDIA driver's library and kernel module are of two versions"),
        ("unloaded", None, [], "the CPU: the NVIDIA driver is not loaded"),
        ("none", None, [], ""),
        ("lost", None, [0], "1 of 2 GPUs do not answer"),
        ("", "GPU-0001", [1], ""),
        ("", "GPU-abc", [], "2 GPUs here (Stand-in H200), but CUDA_VISIBLE_DEVICES=GPU-abc: 'GPU-abc' means"),
        ("", "", [], "but CUDA_VISIBLE_DEVICES is empty, which hides every GPU"),
        ("", "0,0", [], "names GPU 0 twice"),
        ("mig", "MIG-c013", [1], "one rank on the MIG slice Stand-in MIG 1g.18gb of GPU 1"),
        ("mig", "MIG-c012,MIG-c013", [1], "which is all that CUDA gives to a process"),
    ],
)  # fmt: skip
def test_what_is_said_of_where_it_trains(stand_in, mode, allowed, gpus, said):
    stand_in(mode, allowed)
    made, told = planned()
    assert (made.gpus, made.nproc) == (gpus, max(1, len(gpus)))
    assert said in told and bool(said) == bool(told)


def test_a_driver_that_does_not_work_is_said_also_where_pytorch_has_no_cuda(stand_in, torch):
    stand_in("mismatch")
    torch("2.13.0+cpu")
    said = planned()[1]
    assert "of two versions" in said and "built without CUDA" in said


@pytest.mark.parametrize(
    ("mode", "settings", "said"),
    [
        ("", {"gpus": "0,0"}, "names GPU 0 more than once"),
        ("", {"gpus": "0,5"}, "there is no GPU 5"),
        ("", {"gpus": "3-1"}, "is not a list of numbers"),
        ("", {"nproc": 3}, "3 ranks on 2 GPUs"),
        ("mig", {"gpus": "1"}, "there is no GPU 1"),
        ("allmig", {"nproc": 2}, "2 ranks on 1 GPU"),
        ("mismatch", {"gpus": "0"}, "of two versions"),
    ],
)
def test_gpus_that_cannot_be_had_are_refused(stand_in, mode, settings, said):
    stand_in(mode)
    with pytest.raises(ConfigError) as error:
        planned(**settings)
    assert said in str(error.value) and "--gpus" in str(error.value)


def test_gpus_are_counted_as_the_driver_does_and_only_visible_ones_had(stand_in):
    stand_in("", "1")
    assert planned(gpus="1")[0].gpus == [1]
    with pytest.raises(ConfigError, match="there is no GPU 0") as error:
        planned(gpus="0")
    assert "usable GPUs: 1" in error.value.hint


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """``trained([0, 1])``: a stopped training that began on those GPUs; what it starts is not started."""
    started: list[Run] = []
    monkeypatch.setattr(engine, "submit", started.append)

    def make(gpus):
        job = config(device="cuda" if gpus else "cpu", nproc=len(gpus) or 2, gpus=gpus)
        run = store.create(tmp_path / "runs", job, label="x", argv=[], host="h")
        state.write_state(run, "stopped", attempt=1)
        save(run, 7)
        return run

    make.started = started
    return make


def test_what_nccl_has_to_say_is_heard_unless_asked_otherwise(stand_in, trained, monkeypatch):
    stand_in("")
    monkeypatch.delenv("NCCL_DEBUG", raising=False)
    assert environment(trained([0]))["NCCL_DEBUG"] == "WARN"
    assert "NCCL_DEBUG" not in environment(trained([]))
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    assert environment(trained([0]))["NCCL_DEBUG"] == "INFO"


def test_a_deterministic_training_has_deterministic_products(tmp_path, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    for wanted in (False, True):
        run = store.create(tmp_path / "runs", config(deterministic=wanted), label="x", argv=[], host="h")
        assert environment(run).get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if wanted else None)


def test_what_allocators_and_compilers_were_told_is_recorded():
    given = {"PYTORCH_ALLOC_CONF": "expandable_segments:True", "TRITON_CACHE_DIR": "/t"}
    assert command.recorded_part(given | {"HOME": "/h", "TRITON_KEY": "x"}) == given | {"TRITON_KEY": "***"}


def environment(run):
    return command.environ(run, Path("meeting"))


@pytest.mark.parametrize(
    ("mode", "allowed", "began", "names", "moved"),
    [
        ("", None, [1], "1", ""),
        ("", "1", [0], "1", "on GPU 1 today: it began on GPU 0"),
        ("", "GPU-0001", [0], "1", "on GPU 1 today: it began on GPU 0"),
        ("", "1,0", [4, 5], "1,0", "on GPU 1, 0 today: it began on GPU 4, 5"),
        ("", "1,0", [0, 1], "0,1", ""),
        ("mig", "MIG-c013", [0], "MIG-c013", "on GPU 1 today: it began on GPU 0"),
    ],
)
def test_a_run_is_resumed_on_what_is_visible_today(stand_in, trained, mode, allowed, began, names, moved):
    stand_in(mode, allowed)
    run = trained(began)
    resumption.prepare(run).start()
    assert trained.started == [run]
    assert environment(run)["CUDA_VISIBLE_DEVICES"] == names
    assert environment(run)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert devices.moved(run.record.config, devices.today(run.record.config)) == moved


@pytest.mark.parametrize(
    ("allowed", "version", "began", "said"),
    [
        ("0", "2.13.0+cu130", [0, 1], "2 ranks, each on a GPU, and 1 can be used here"),
        ("", "2.13.0+cu130", [0], "none can be used here: CUDA_VISIBLE_DEVICES is empty"),
        (None, "2.13.0+cpu", [0], "none can be used here: PyTorch 2.13.0+cpu is built without CUDA"),
    ],
)
def test_a_run_is_not_resumed_on_fewer(stand_in, trained, torch, allowed, version, began, said):
    stand_in("", allowed)
    torch(version)
    run = trained(began)
    with pytest.raises(RunError) as error:
        resumption.prepare(run).start()
    assert said in error.value.message and trained.started == []
    if version == "2.13.0+cu130":
        with pytest.raises(RunError, match="can be used"):
            environment(run)


@pytest.mark.parametrize(
    ("allowed", "version", "began", "gpus", "said"),
    [
        (None, "2.13.0+cu130", [0, 1], [0, 1], ""),
        ("1", "2.13.0+cu130", [0], [1], "on GPU 1 today"),
        ("1", "2.13.0+cu130", [0, 1, 2, 3], [1], "on GPU 1 today: it began on GPU 0, 1, 2, 3"),
        (
            "",
            "2.13.0+cu130",
            [0, 1],
            [],
            "the CPU: it began on GPU 0, 1, and CUDA_VISIBLE_DEVICES is empty",
        ),
        (None, "2.13.0+cpu", [0], [], "PyTorch 2.13.0+cpu is built without CUDA"),
        (None, "2.13.0+cu130", [], [], ""),
    ],
)
def test_a_checkpoint_is_verified_on_what_is_there_today(
    stand_in, trained, torch, tmp_path, allowed, version, began, gpus, said
):
    stand_in("", allowed)
    torch(version)
    run = trained(began)
    asked = job_config("arcterm:verify", [run.path], {})
    made = start.job(asked, tmp_path / "runs").record.config
    assert (made.kind, made.name) == ("job", "verify")
    ranks = len(gpus) or (1 if began else 2)
    assert (made.gpus, made.nproc, made.device) == (gpus, ranks, "cuda" if gpus else "cpu")
    told = devices.moved(run.record.config, made.gpus)
    assert said in told and bool(said) == bool(told)


def test_a_run_on_the_cpu_is_told_nothing_of_gpus(stand_in, trained):
    stand_in()
    run = trained([])
    resumption.prepare(run).start()
    assert "CUDA_VISIBLE_DEVICES" not in environment(run)


@pytest.mark.parametrize(
    ("said", "ranks", "wanted"),
    [(None, 1, 8), (None, 3, 2), ("1", 1, 1), ("3", 2, 3), ("6,2", 2, 4), ("0", 2, 4), ("many", 9, 1)],
)
def test_a_rank_has_its_share_of_the_cores_and_no_more_threads_than_asked_for(
    said, ranks, wanted, monkeypatch
):
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert devices.threads_of_rank(ranks) == wanted
    assert planned(gpus="none", nproc=ranks)[0].threads == wanted
