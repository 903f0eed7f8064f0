"""The screen of the host, as ``arcterm monitor`` opens it."""

from __future__ import annotations

import pytest

from arcterm.console.app import Console
from arcterm.console.monitor import Monitor
from arcterm.console.screens.host import HostScreen
from arcterm.console.screens.job import JobScreen
from arcterm.host import reader
from arcterm.host.readings import Cores, Memory, Process, Reading


@pytest.fixture
def readings(monkeypatch):
    """Readings that `HostReader.read` gives, the last one again and again; the orders that were asked for."""
    given, orders = [], []

    def read(self, rows=10, order="cpu", patience=0.0):
        orders.append(order)
        return given.pop(0) if len(given) > 1 else given[0]

    monkeypatch.setattr(reader.HostReader, "read", read)
    return given, orders


def reading(*processes, busy=40.0):
    return Reading(
        t=1767322800.0,
        host="gpu01",
        uptime=86400.0,
        cores=Cores(count=2, busy=[busy, busy], all=busy, waiting=0.0, load=[1.0, 1.0, 1.0], usable=2),
        memory=Memory(total=64 << 30, available=60 << 30),
        processes=list(processes),
        process_count=len(processes),
        notes={"gpus": "no NVIDIA driver here"},
    )


@pytest.mark.long
async def test_the_host_is_shown_and_a_process_leads_to_its_run(readings, job, root, until, shown):
    made = job("pack", "/data/faces", "/data/pack")
    given, orders = readings
    mine = Process(
        pid=7, name="python", user="ann", cpu=99.0, run=str(made.run.path), role="solo", command="python x"
    )
    given.append(reading(Process(pid=1, name="init", command="/sbin/init"), mine))
    app = Monitor(root, 60)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, HostScreen) and "no NVIDIA driver here" in shown(app)
        )
        assert "40 %" in shown(app) and "gpu01" in shown(app)
        assert "solo of data-pack" in shown(app) and "open run" not in shown(app)
        await pilot.press("s")
        await until(pilot, lambda: "processes by memory" in shown(app) and orders[-1] == "memory")
        await pilot.press("p")
        assert "paused" in shown(app)
        await pilot.press("enter")
        assert "no run owns this process" in " ".join(n.message for n in app._notifications)
        await pilot.press("j", "j")
        assert "open run" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, HostScreen))
        await pilot.press("q")
    assert app.return_code == 0


async def test_the_host_is_a_command_of_every_screen(readings, root, until, shown):
    given, _ = readings
    given.append(reading())
    app = Console(root)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.screen_stack)
        before = app.screen
        host = next(command for command in app.get_system_commands(app.screen) if command.title == "host")
        host.callback()
        await until(pilot, lambda: isinstance(app.screen, HostScreen) and "gpu01" in shown(app))
        await pilot.press("q")
        await until(pilot, lambda: app.screen is before)


async def test_a_small_terminal_keeps_the_processes(readings, root, until, shown):
    given, _ = readings
    given.append(reading(*(Process(pid=n, name=f"p{n}", command=f"command{n}") for n in range(30))))
    app = Monitor(root, 60)
    async with app.run_test(size=(60, 16)) as pilot:
        await until(pilot, lambda: "command3" in shown(app))
        assert "cores" in shown(app) and "? help" in shown(app)
