"""Who dies with whom, and who waits for whom, with real processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

GRANDCHILD = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
# starts a child that starts a grandchild, kills the child, and tells whose child the grandchild is then
PARENT = """
import subprocess, sys
import psutil
from arcterm import parent_death

if sys.argv[1] == "adopts":
    parent_death.adopt_orphans()
middle = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
command = [sys.executable, "-c", middle, sys.argv[2]]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
orphan = psutil.Process(int(child.stdout.readline()))
child.kill()
child.wait()
print(orphan in psutil.Process().children())
child.stdin.close()
"""
# a tie to a process that is not the parent is refused
TIED = (
    "import os; from arcterm import parent_death; "
    "parent_death.tie_to(os.getpid() if {wrong} else os.getppid())"
)


@pytest.mark.parametrize(("adopts", "expected"), [("adopts", "True"), ("leaves", "False")])
def test_orphans_come_to_whoever_adopts_them(adopts: str, expected: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PARENT, adopts, GRANDCHILD],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.strip() == expected


@pytest.mark.parametrize("wrong", [False, True])
def test_a_tie_to_a_parent_that_is_gone_ends_the_process(wrong: bool) -> None:
    told = subprocess.run(
        [sys.executable, "-c", TIED.format(wrong=wrong)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == int(wrong)
    assert ("is gone" in told.stderr) is wrong
