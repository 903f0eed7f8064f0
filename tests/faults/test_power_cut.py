"""A power cut right after a checkpoint was acknowledged: what is on the disk then has it, whole.

The disk is a file with ext4 in it, copied at that moment: what the kernel had not written is lost.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager

import pytest

from arcterm.runs import checkpoints, store
from arcterm.runs.store import Run
from tests.faults.test_crash_points import inject, points, saver
from tests.runs.conftest import config

__all__ = ["points", "saver"]

pytestmark = pytest.mark.slow


@contextmanager
def mounted(image, place):
    """Mount a file; skips where that can't be done."""
    place.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"a file system can't be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def disk(saver, tmp_path):
    """``disk(how, *strace)``: what a save of step 3 says, and the steps left by a power cut at its end."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not here")
    image, cut = tmp_path / "disk", tmp_path / "cut"
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)

    def save_and_cut(how, *strace):
        with mounted(image, tmp_path / "before"):
            for old in (tmp_path / "before").glob("runs/*"):
                shutil.rmtree(old)
            run = store.create(tmp_path / "before" / "runs", config(), label="x", argv=[], host="h")
            for step in (1, 2):
                saver.ask(run, step, "here")
                assert saver.process.stdout.readline() == "saved\n"
            subprocess.run(["sync", "-f", tmp_path / "before"], check=True)
            said = saver.save(run, how, "-o", "/dev/null", "-e", *(strace or ["trace=none"]))
            shutil.copyfile(image, cut)
        with mounted(cut, tmp_path / "after"):
            found = Run(tmp_path / "after" / "runs" / run.id)
            return said, [checkpoints.check(path).step for path in sorted(found.checkpoints.glob("step-*"))]

    return save_and_cut


@pytest.mark.parametrize(("how", "steps"), [("", [1, 2, 3]), ("unsynced", [1, 2])])
def test_what_was_acknowledged_is_there_after_a_power_cut(disk, how, steps):
    """Without the syncs it is lost, which shows that the cut is one."""
    assert disk(how) == ("saved", steps)


def test_a_power_cut_in_the_midst_of_a_save_leaves_what_was_there(disk, points):
    for call, number in points("")[::3]:
        said, steps = disk("", f"trace={call}", "-e", inject(call, "signal=KILL", number))
        assert steps in ([1, 2], [1, 2, 3]), (call, number)
        assert said == "" or steps == [1, 2, 3]
