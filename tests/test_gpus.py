"""NVML through a stand-in for the driver's library: two GPUs, one of which does not answer everything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arcterm import gpus
from arcterm.errors import ConfigError
from arcterm.runs.events import Gpu

SOURCE = Path(__file__).with_name("nvml_stand_in.c")


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> Path:
    """A folder with a libnvidia-ml.so.1 that answers like two GPUs."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here to build the stand-in for the driver's library")
    folder = tmp_path_factory.mktemp("driver")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(target), str(SOURCE)], check=True)
    return folder


def ask(code: str, driver: Path | None, **environment: str) -> object:
    """What `code` prints as JSON in a process that finds the stand-in instead of the driver."""
    env = {**os.environ, **environment}
    env.pop("CUDA_VISIBLE_DEVICES", None) if "CUDA_VISIBLE_DEVICES" not in environment else None
    if driver is not None:
        env["LD_LIBRARY_PATH"] = str(driver)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


READ = "import json, msgspec; from arcterm import gpus; print(json.dumps(msgspec.to_builtins(gpus.read())))"
SELECT = "import json; from arcterm import gpus; print(json.dumps(gpus.select({})))"


def test_every_field_that_is_answered_is_read_and_the_others_are_none(driver):
    found, note = ask(READ, driver)
    assert note == ""
    assert found[0] == {
        "index": 0,
        "name": "Stand-in H200",
        "uuid": "GPU-0000",
        "utilisation": 87.0,
        "memory_used": 31 << 30,
        "memory_total": 140 << 30,
        "temperature": 61.0,
        "power": 302.5,
        "power_limit": 700.0,
        "clock": 1980.0,
    }
    assert found[1] == {"index": 1, "name": "Stand-in MIG", "uuid": "GPU-0001", "temperature": 44.0}


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has the real driver")
def test_without_a_driver_the_reason_is_told():
    found, note = ask(READ, None)
    assert found == []
    assert "no NVIDIA driver here" in note


@pytest.mark.parametrize(
    ("allowed", "wanted", "chosen"),
    [
        ({}, "[]", [0, 1]),
        ({}, "[1]", [1]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, "[]", [1]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-0001,0"}, "[]", [1, 0]),
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, "[]", [0]),
        ({"CUDA_VISIBLE_DEVICES": ""}, "[]", []),
    ],
)
def test_which_gpus_are_used(driver, allowed, wanted, chosen):
    assert ask(SELECT.format(wanted), driver, **allowed) == chosen


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(gpus, "read", lambda: ([Gpu(index=0, name="x")], ""))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ConfigError, match="no GPU 3") as error:
        gpus.select([3])
    assert "--gpus" in error.value.hint
    assert "usable GPUs: 0" in error.value.hint
