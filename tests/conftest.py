"""Shared fixtures: real files of others, and fake distributions."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import arcterm  # noqa: F401  before any test imports OpenCV, whose limits it sets

ROOT = Path(__file__).resolve().parent.parent

# A thread of OpenMP that waits for another keeps its core busy. Where tests share the cores that takes twenty
# times what there is to compute.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
gc.disable()  # half of the time in which tests are collected would go into searching what stays anyway


def pytest_collection_finish() -> None:
    """Leave all that was imported out of every later search for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What is drawn at random is the same in whichever order, and on whichever worker, tests run."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
    gc.enable()  # a command that opens the console leaves that to the console, which is not started here


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console remembers nothing of the person who runs the tests, nor of another test."""
    folder = tmp_path_factory.getbasetemp() / "state" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    monkeypatch.setenv("ARCTERM_STATE", str(folder))
    monkeypatch.setenv("ARCTERM_CONSOLE", str(folder / "settings.toml"))


@pytest.fixture(scope="session")
def test_data() -> Callable[[str], Path]:
    """``test_data("pairs/small_lfw.bin")``: a real file made by others; skips where the folder is absent."""
    root = Path(os.environ.get("ARCTERM_TEST_DATA") or ROOT.parent / "shared" / "data")

    def locate(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"{path} is not here; set ARCTERM_TEST_DATA to the folder of real files")
        return path

    return locate


@contextmanager
def little_room(size: int = 100) -> Iterator[None]:
    """No file of this process gets longer than `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 that answers like two GPUs, or as ``NVML_STAND_IN`` says."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here to build the stand-in for the driver's library")
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).with_name("nvml_stand_in.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True
    )
    return folder


@pytest.fixture
def stand_in(driver: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``stand_in("mig", "MIG-c013")``: it answers in this process, with that ``CUDA_VISIBLE_DEVICES``."""
    import pynvml

    def answer(mode: str = "", allowed: str | None = None) -> None:
        monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(driver / "libnvidia-ml.so.1")))
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        monkeypatch.setenv("NVML_STAND_IN", mode)
        if allowed is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)

    return answer


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """``distribution("name", entry_points=text, **modules)``: a fake installed package on ``sys.path``."""
    before = set(sys.modules)

    def install(name: str, *, entry_points: str, version: str = "1.0", **modules: str) -> Path:
        site = tmp_path / f"site-{name}"
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points)
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        return site

    yield install
    for module in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[module], "__file__", None) or ""):
            del sys.modules[module]
