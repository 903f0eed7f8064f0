"""The host as it is read and shown: every part by itself, with what is missing in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from arcterm.host import disks, limits, reader
from arcterm.host.disks import DiskWatch
from arcterm.host.processes import ProcessTable
from arcterm.host.reader import HostReader
from arcterm.host.readings import Cores, Disk, HostGpu, Link, Memory, Process, Reading
from arcterm.runs.events import Gpu
from arcterm.show import host
from arcterm.show.lines import width_of

from ..inprocess import enter

GIB = 1 << 30
RUN = "/data/runs/20260102T030405Z-r50-arcface-ab12"


def reading(gpus=2, slices=0, bare=False, notes=None, **changes):
    """A host with everything, or with GPUs that answer nothing but their name."""
    known = {"utilisation": 96.0, "memory_used": 31 * GIB, "memory_total": 80 * GIB, "temperature": 61.0}
    known |= {"power": 302.0, "power_limit": 700.0, "clock": 1980.0}
    part = Gpu(index=0, name="MIG 1g.18gb", memory_used=2 * GIB, memory_total=18 * GIB)
    found = [
        HostGpu(gpu=Gpu(index=i, name="NVIDIA H200", **({} if bare else known)), slices=[part] * slices)
        for i in range(gpus)
    ]
    fields = {
        "t": 1767322800.0,
        "host": "gpu01",
        "uptime": 86400.0,
        "cores": Cores(count=4, busy=[100, 50, 0, 10], all=40.0, waiting=3.0, load=[3.2, 2.9, 2.5], usable=2),
        "memory": Memory(total=64 * GIB, available=60 * GIB, limit=8 * GIB, limit_used=int(7.9 * GIB)),
        "gpus": found,
        "disks": [
            Disk(path="/", total=100 * GIB, used=99 * GIB, free=0),
            Disk(path="/nfs", note="does not answer for 9 s"),
        ],
        "disk_read": 12.0 * 2**20,
        "links": [
            Link(name="eth0", received=1000.0, sent=0.0),
            Link(name="mlx5_0/1", received=2.0 * GIB, sent=0.0),
        ],
        "processes": [
            Process(
                pid=17,
                name="python",
                user="ann",
                cpu=198.5,
                memory=GIB,
                gpu_memory={0: 30 * GIB, 1: None},
                run=RUN,
                role="rank 0",
                command="/v/bin/python -m arcterm.processes.rank " + RUN,
            ),
            Process(pid=18, name="bad\x1b[2J", user="eve", cpu=1.0, command="evil \x1b]0;x\x07name"),
        ],
        "process_count": 200,
        "notes": notes or {},
    }
    return Reading(**fields | changes)


def text(lines):
    return "\n".join("".join(part for part, _ in line) for line in lines)


def test_a_reading_of_this_host_is_one_json_object(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("arcterm.cli.monitor._BETWEEN_SECONDS", 0.05)
    assert enter(monkeypatch, "monitor", "--json", "--runs-dir", str(tmp_path)) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["cores"]["busy"]) == found["cores"]["count"] == psutil.cpu_count()
    assert found["memory"]["total"] == psutil.virtual_memory().total
    assert found["disks"][0]["path"] == str(tmp_path) and found["disks"][0]["total"]
    assert found["process_count"] >= len(found["processes"]) > 0
    assert found["gpus"] or "gpus" in found["notes"]


def test_processes_are_named_with_the_run_that_owns_them(tmp_path):
    """A stand-in for a rank, and a process below it; both end with their stdin."""
    run = tmp_path / Path(RUN).name
    waits = "import sys; print(1, flush=True); sys.stdin.read()"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {waits!r}])"
    started = subprocess.Popen(
        [sys.executable, "-c", below, "arcterm.processes.rank", str(run), "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "RANK": "3"},
    )
    try:
        assert started.stdout.readline()
        table = ProcessTable()
        table.refresh(0.0)
        table.refresh(1.0)
        found = {each.pid: each for each in table.top(10**6, "memory", {started.pid: {0: GIB}})}
        assert (found[started.pid].run, found[started.pid].role) == (str(run), "rank 3")
        assert found[started.pid].gpu_memory == {0: GIB}
        child = psutil.Process(started.pid).children()[0].pid
        assert (found[child].run, found[child].role) == (str(run), "below rank 3")
        assert found[child].memory > 0 and found[child].cpu is not None
        assert found[os.getpid()].run == "" and "python" in found[os.getpid()].command
        assert table.top(1, "gpu", {started.pid: {0: None}})[0].pid == started.pid
    finally:
        started.stdin.close()
        started.stdout.close()
        started.wait()


def test_a_process_that_ends_or_is_hidden_is_left_out(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "stat").write_text("8 (a) b) c) S 1 " + " ".join("0" for _ in range(40)))
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "stat").write_text(
        "9 (kworker) S 2 0 0 0 0 2097152 " + " ".join("0" for _ in range(40))
    )
    table = ProcessTable(tmp_path)
    table.refresh(0.0)
    assert [each.name for each in table.top(9, "cpu", {})] == ["a) b) c"]


def test_gpus_slices_and_their_processes_are_read(stand_in, monkeypatch):
    stand_in("mig")
    found = HostReader().read()
    assert [each.gpu.name for each in found.gpus] == ["Stand-in H200", "Stand-in MIG"]
    assert [part.memory_total for part in found.gpus[1].slices] == [18 * GIB, 18 * GIB]
    stand_in("busy")
    monkeypatch.setenv("NVML_STAND_IN_PID", str(os.getpid()))
    found = HostReader().read(rows=1, order="gpu")
    assert (found.processes[0].pid, found.processes[0].gpu_memory) == (os.getpid(), {0: 30 * GIB})
    monkeypatch.setenv("NVML_STAND_IN_PID", str(1 << 22))  # of another container
    assert "1 process that holds GPU memory can't be seen" in HostReader().read().notes["gpu processes"]


@pytest.mark.parametrize("mode", ["mismatch", "unloaded", "none", "lost"])
def test_a_driver_that_does_not_work_is_a_note(stand_in, mode):
    stand_in(mode)
    found = HostReader().read()
    assert len(found.gpus) == (mode == "lost")
    assert found.notes["gpus"]


def test_a_part_that_cannot_be_read_takes_no_other_down(monkeypatch):
    def refuse(*args, **given):
        raise PermissionError(13, "Permission denied")

    for name in ("cpu_times", "virtual_memory", "disk_io_counters", "net_io_counters", "boot_time"):
        monkeypatch.setattr(reader.psutil, name, refuse)
    found = HostReader().read()
    assert {"cores", "memory", "disk", "network", "uptime"} <= set(found.notes)
    assert found.processes
    drawn = text(host.machine(found, host.HostHistory(), 80, 20))
    assert drawn.count("can't be read") >= 3


def test_a_disk_that_does_not_answer_holds_nobody_up(monkeypatch, tmp_path):
    release = threading.Event()
    real = os.statvfs

    def held(path):
        if str(path) == str(tmp_path):
            release.wait(60)
        return real(path)

    monkeypatch.setattr(disks.os, "statvfs", held)
    monkeypatch.setattr(disks, "_PATIENCE_SECONDS", 0.0)
    watch = DiskWatch([tmp_path])
    try:
        found = {disk.path: disk for disk in watch.read(patience=0.05)}
        assert "does not answer" in found[str(tmp_path)].note
        assert any(disk.total for disk in found.values())
    finally:
        release.set()


def test_limits_of_a_container(tmp_path):
    membership = tmp_path / "membership"
    membership.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert limits.cores_allowed(tmp_path, membership) == 1.5
    old = tmp_path / "cpu" / "a"
    old.mkdir(parents=True)
    membership.write_text("3:cpu,cpuacct:/a\n")
    (old / "cpu.cfs_quota_us").write_text("-1")
    (old / "cpu.cfs_period_us").write_text("100000")
    assert limits.cores_allowed(tmp_path, membership) is None
    (old / "cpu.cfs_quota_us").write_text("400000")
    assert limits.cores_allowed(tmp_path, membership) == 4
    assert limits.cores_allowed(tmp_path, tmp_path / "none") is None


def test_what_is_drawn_names_what_is_short():
    drawn = text(host.machine(reading(slices=1), host.HostHistory(), 100, 40))
    assert "2 of 4 may be used here" in drawn and "3 % wait for disks" in drawn
    assert "7.9 GiB of 8.0 GiB granted here" in drawn and "99 %!" in drawn
    assert "100 %!" in drawn and "does not answer for 9 s" in drawn
    assert "31.0 of 80 GiB" in drawn and "302/700 W" in drawn and "slice MIG 1g.18gb" in drawn
    assert drawn.index("mlx5_0/1") < drawn.index("eth0")
    shown = text(host.processes(reading(), "cpu", -1, 120, 9))
    assert "rank 0 of r50-arcface-ab12" in shown and "0,1 30.0G" in shown and "\x1b" not in shown
    assert "python -m arcterm.processes.rank" in shown


def test_gpus_that_answer_nothing_have_dashes():
    drawn = text(host.machine(reading(bare=True), host.HostHistory(), 120, 40))
    assert "NVIDIA H200" in drawn and "– %" not in drawn and "None" not in drawn
    plain = "\n".join(host.plain(reading(bare=True, notes={"gpus": "1 of 3 GPUs do not answer"})))
    assert "gpu 1      –, –, –, –, –, NVIDIA H200" in plain and "1 of 3 GPUs do not answer" in plain


def test_plain_lines_begin_with_their_subject():
    lines = host.plain(reading(slices=1))
    assert not any("\x1b" in line for line in lines)
    assert "cores      40 % busy of 4; 3 % wait for disks, 2 of 4 may be used here" in lines
    assert "process    17 ann: 198 % of a core, 1.0 GiB, GPU 0,1 30.0G; rank 0 of " in "\n".join(lines)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 35), (200, 50)])
@pytest.mark.parametrize("gpus", [0, 2, 16])
def test_nothing_is_wider_or_taller_than_its_place(size, gpus):
    width, height = size
    history = host.HostHistory()
    full = reading(
        gpus=gpus, slices=2, cores=Cores(count=256, busy=[50.0] * 256, all=50.0, waiting=0.0, usable=256)
    )
    for _ in range(50):
        history.take(full)
    for lines in (
        host.title(full, width, "paused"),
        host.machine(full, history, width, height),
        host.processes(full, "gpu", 1, width, 5),
    ):
        assert len(lines) <= height
        assert all(width_of(line) <= width for line in lines), text(lines)
