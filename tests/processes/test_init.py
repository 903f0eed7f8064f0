"""The first process of a container: signals reach its command, orphans are reaped, runs are waited for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare() -> bool:
    """Whether this user may make a container's process space."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not can_unshare(), reason="a process space of one's own takes root, and unshare"
)

COMMAND = """
import os, signal, subprocess, sys, time
from arcterm.processes import init
init.step_aside()
assert os.getpid() != 1 and os.getppid() == 1
signal.signal(signal.SIGTERM, lambda *given: sys.exit(77))
def zombies():
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    return [open(f"/proc/{pid}/stat").read().split(") ")[1][0] for pid in pids].count("Z")
"""
ORPHAN = """
if not os.fork():
    if not os.fork():
        time.sleep(0.1)
    os._exit(0)
os.wait()
while len([pid for pid in os.listdir("/proc") if pid.isdigit()]) > 2 or zombies():
    time.sleep(0.01)
print("none left", flush=True)
"""
RUN = """
loop = "import time\\nprint('up', flush=True)\\nwhile True: time.sleep(9)"
words = [sys.executable, "-c", loop, "arcterm.processes.supervisor"]
run = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE)
print(run.stdout.readline().decode(), end="", flush=True)
os._exit(0)
"""


def contained(body: str) -> subprocess.Popen[str]:
    """A command that is the first process of a space of its own."""
    return subprocess.Popen(
        [*UNSHARE, sys.executable, "-c", COMMAND + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def first_of(process: subprocess.Popen[str]) -> int:
    """The first process in the space, by its pid out here."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


@pytest.mark.parametrize(("body", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_the_exit_code_is_that_of_the_command(body, code):
    process = contained(body)
    process.communicate()
    assert process.returncode == code


def test_a_signal_reaches_the_command_and_orphans_are_reaped():
    process = contained(ORPHAN + "signal.pause()")
    assert process.stdout and process.stdout.readline() == "none left\n"
    os.kill(first_of(process), signal.SIGTERM)
    process.communicate()
    assert process.returncode == 77


def test_a_run_that_was_left_is_waited_for_and_stopped():
    process = contained(RUN)
    assert process.stdout and process.stdout.readline() == "up\n"
    assert process.stderr and process.stderr.readline().startswith("1 run goes on in this container")
    os.kill(first_of(process), signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
