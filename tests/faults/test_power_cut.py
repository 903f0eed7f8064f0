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
from tests.faults.test_crash_points import saver
from tests.runs.conftest import config

__all__ = ["saver"]

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


@pytest.mark.parametrize(("how", "steps"), [("", [1, 2, 3]), ("unsynced", [1, 2])])
def test_what_was_acknowledged_is_there_after_a_power_cut(saver, tmp_path, how, steps):
    """Without the syncs it is lost, which shows that the cut is one."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not here")
    image, cut = tmp_path / "disk", tmp_path / "cut"
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    with mounted(image, tmp_path / "before"):
        run = store.create(tmp_path / "before" / "runs", config(), label="x", argv=[], host="h")
        for step in (1, 2):
            saver.ask(run, step, "here")
            assert saver.process.stdout.readline() == "saved\n"
        subprocess.run(["sync", "-f", tmp_path / "before"], check=True)
        assert saver.save(run, how, "-o", "/dev/null", "-e", "trace=none") == "saved"
        shutil.copyfile(image, cut)
    with mounted(cut, tmp_path / "after"):
        found = Run(tmp_path / "after" / "runs" / run.id)
        there = sorted(found.checkpoints.glob("step-*"))
        assert [checkpoints.check(path).step for path in there] == steps
