"""NVML through a stand-in for the driver's library: two GPUs, one of which does not answer everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arcterm import gpus
from arcterm.errors import ConfigError
from arcterm.runs.events import Gpu


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


@pytest.mark.parametrize(
    ("mode", "allowed", "names", "said"),
    [
        ("", "GPU-0001", ["1"], ""),
        ("", "gpu-0001 , 0", ["1", "0"], ""),
        ("", "1gpu,+0", ["1", "0"], ""),
        ("", "GPU-00", [], "'GPU-00' means several GPUs"),
        ("", "GPU-", [], "'GPU-' means no GPU here; there: 0 GPU-0000, 1 GPU-0001"),
        ("", "GPU-9", [], "'GPU-9' means no GPU here"),
        ("", "0,GPU-9,1", ["0"], "'GPU-9' means no GPU here, and CUDA passes over what follows"),
        ("", "0,-1,1", ["0"], "'-1' means no GPU here"),
        ("", "0,0", [], "names GPU 0 twice, and CUDA then shows none"),
        ("", "1,GPU-0001", [], "names GPU 1 twice"),
        ("", "", [], "CUDA_VISIBLE_DEVICES is empty, which hides every GPU"),
        ("", "-1", [], "CUDA_VISIBLE_DEVICES=-1 hides every GPU"),
        ("", "NoDevFiles", [], "CUDA_VISIBLE_DEVICES=NoDevFiles hides every GPU"),
        ("", "MIG-c013", [], "'MIG-c013' means no GPU here"),
        ("mig", None, ["0"], "GPU 1 in MIG mode is not used; CUDA_VISIBLE_DEVICES=MIG-… takes a slice"),
        ("mig", "MIG-c013", ["MIG-c013"], "one rank on the MIG slice Stand-in MIG 1g.18gb of GPU 1"),
        ("mig", "mig-C012", ["MIG-c012"], "one rank on the MIG slice"),
        ("mig", "MIG-GPU-0001/8/0", ["MIG-c013"], "one rank on the MIG slice"),
        ("mig", "MIG-GPU-0001/9/0", [], "'MIG-GPU-0001/9/0' means no GPU here"),
        ("mig", "MIG-c01", [], "'MIG-c01' means several GPUs"),
        ("mig", "MIG-c013,MIG-c012", ["MIG-c013"], "which is all that CUDA gives to a process"),
        ("mig", "1", ["MIG-c012"], "one rank on the MIG slice"),
        ("mig", "GPU-0001", ["MIG-c012"], "one rank on the MIG slice"),
        ("mig", "0,MIG-c013", ["MIG-c013"], "which is all that CUDA gives to a process"),
        ("allmig", None, ["MIG-c010"], "which is all that CUDA gives to a process"),
        ("uncut", "1", [], "'1' means no GPU here"),
        ("lost", None, ["0"], "1 of 2 GPUs do not answer the NVIDIA driver"),
        ("mismatch", None, [], "of two versions: restart the machine"),
        ("unloaded", None, [], "the NVIDIA driver is not loaded"),
        ("none", None, [], "the NVIDIA driver reports no GPU"),
    ],
)
def test_what_cuda_gives_to_a_process(stand_in, mode, allowed, names, said):
    stand_in(mode, allowed)
    devices, why = gpus.usable()
    assert [device.name for device in devices] == names
    assert said in why and bool(said) == bool(why)


def test_a_slice_is_described_with_the_index_of_its_gpu(stand_in):
    stand_in("mig", "MIG-c013")
    (device,) = gpus.usable()[0]
    assert (device.gpu.index, device.gpu.uuid, device.gpu.memory_total) == (1, "MIG-c013", 18 << 30)
    assert gpus.select([]) == gpus.select([1]) == [1]
    with pytest.raises(ConfigError, match="there is no GPU 0"):
        gpus.select([0])


def test_a_gpu_named_twice_is_refused(stand_in):
    stand_in()
    assert gpus.select([1, 0]) == [1, 0]
    with pytest.raises(ConfigError, match="names GPU 0 more than once"):
        gpus.select([0, 1, 0])


@pytest.mark.parametrize(
    ("allowed", "recorded", "today"),
    [
        (None, [1], ["1"]),
        (None, [0, 1], ["0", "1"]),
        ("1", [0], ["1"]),
        ("1,0", [0, 1], ["0", "1"]),
        ("0", [0, 1], ["0"]),
        (None, [6, 7], ["0", "1"]),
        ("", [0], []),
    ],
)
def test_a_run_goes_on_where_it_may_today(stand_in, allowed, recorded, today):
    stand_in("", allowed)
    assert [device.name for device in gpus.assign(recorded)] == today


def test_a_slice_is_handed_on_by_its_own_name(stand_in):
    stand_in("mig", "MIG-c013")
    assert [device.name for device in gpus.assign([1])] == ["MIG-c013"]


@pytest.mark.parametrize(("mode", "newest"), [("", (13, 0)), ("old", (11, 8)), ("mismatch", None)])
def test_the_newest_cuda_of_the_driver(stand_in, mode, newest):
    stand_in(mode)
    assert gpus.newest_cuda() == newest


def test_a_gpu_without_a_driver_is_trouble(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "read", lambda: ([], "no NVIDIA driver here (not found)"))
    monkeypatch.setattr(gpus, "_BUS", tmp_path)
    assert gpus.trouble() == ""
    for name, vendor, kind in (("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert gpus.trouble() == ""
    (tmp_path / "1" / "class").write_text("0x030200\n")
    assert gpus.trouble() == "an NVIDIA GPU is built in, but no NVIDIA driver here (not found)"
