"""``arcterm megaface export`` as it is typed, killed on two ranks; the scripts of 2018 by their options."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import PATIENCE
from tests.jobs import save_weights
from tests.megaface.faces import write_face, write_sets
from tests.megaface.folders import FACESCRUB, MEGAFACE

pytestmark = pytest.mark.slow
MANY = 2400


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def write_many(folder: Path) -> None:
    """Many distractors, of a few pictures: enough for time to kill their export."""
    for number in range(MANY):
        path = folder / "mf" / f"{number % 7:03}" / f"{number % 50}@N00" / f"{number}_0.jpg"
        if number < 40:
            write_face(path, number)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = number % 40
            os.link(folder / "mf" / f"{kept % 7:03}" / f"{kept}@N00" / f"{kept}_0.jpg", path)
    names = sorted(str(path.relative_to(folder / "mf")) for path in (folder / "mf").rglob("*.jpg"))
    (folder / "mf.lst").write_text("".join(f"{name}\n" for name in names))


def ranks_of(run: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
        if "arcterm.processes.rank" in words and any(run in word for word in words):
            found.append(process)
    return found


def test_a_killed_export_goes_on_to_the_same_bytes(arcterm):
    write_many(arcterm.folder)
    save_weights(arcterm.folder / "net.pth")
    words = [
        "megaface",
        "export",
        "net.pth",
        "--megaface",
        "mf",
        "--megaface-list",
        "mf.lst",
        "--batch-size",
        "1",
    ]
    run = arcterm.json(*words, "--out", "parts", "--nproc", "2", "--detach")["id"]
    work = arcterm.path(run) / "work"
    deadline = time.monotonic() + PATIENCE
    while not any(log.stat().st_size for log in work.glob("rows-*.jsonl")):
        assert time.monotonic() < deadline
    for process in ranks_of(run):
        process.kill()
    arcterm.wait_for_failure(run)
    assert not (arcterm.folder / "parts").exists() and list(arcterm.folder.glob(".parts.partial.*"))
    again = arcterm.json("resume", run)
    assert again["sets"]["megaface"]["features"] == MANY
    whole = arcterm.json(*words, "--out", "whole", "--nproc", "1")
    assert again | {"path": ""} == whole | {"path": ""}
    assert files_of(arcterm.folder / "parts") == files_of(arcterm.folder / "whole")
    assert not list(arcterm.folder.glob(".parts*")) and not work.exists()


def test_the_scripts_of_2018_by_their_options(arcterm):
    write_sets(arcterm.folder)
    save_weights(arcterm.folder / "net.pth")
    sets = ["--facescrub-lst", "fs.lst", "--facescrub-root", "fs", "--megaface-lst", "mf.lst"]
    made = arcterm(
        "gen-megaface", "--model", "net.pth|net.pth", "--algo", "r100", *sets, "--megaface_root", "mf",
        "--batch_size", "8", "--nproc", "2", "--output", "early", "--mf", "1",
    )  # fmt: skip
    assert "this is: arcterm megaface export net.pth net.pth --out" in made.stderr
    arcterm("megaface", "export", "net.pth", "net.pth", "--out", "packed", "--facescrub", "fs",
        "--facescrub-list", "fs.lst", "--megaface", "mf", "--megaface-list", "mf.lst", "--batch-size", "8",
        "--algo", "r100", "--nproc", "1",
    )  # fmt: skip
    arcterm("megaface", "convert", "packed", "devkit", "--layout", "devkit")
    assert files_of(arcterm.folder / "early") == files_of(arcterm.folder / "devkit")

    (arcterm.folder / "facescrub_noises.txt").write_text(f"#\r\n{FACESCRUB[4].split('/')[1]}\r\n")
    (arcterm.folder / "megaface_noises.txt").write_text(f"#\n{MEGAFACE[5]}\nno/such/1.jpg\n")
    for which in ("facescrub", "megaface"):
        arcterm(
            "remove-noises", "--suffix", "r100_112x112", "--algo", "r100_cm", f"--{which}-feature-dir",
            f"early/{which}", f"--{which}-lst", "fs.lst" if which == "facescrub" else "mf.lst",
        )  # fmt: skip
    noise = (arcterm.folder / "early" / "megaface_cm" / f"{MEGAFACE[5]}_r100_cm.bin").read_bytes()
    assert len(noise) == 16 + 4 * 129 and noise[-4:] == b"\0\0\xc8B"  # 100.0
    assert len(list((arcterm.folder / "early" / "facescrub_cm").rglob("*_r100_cm.bin"))) == len(FACESCRUB)

    said = arcterm.json("megaface", "clean", "--features", "packed", "--out", "mask",
        "--facescrub-noises", "facescrub_noises.txt", "--megaface-noises", "megaface_noises.txt",
    )  # fmt: skip
    assert (said["facescrub"]["hit"], said["megaface"]["hit"], said["megaface"]["not_hit"]) == (
        1,
        1,
        ["no/such/1.jpg"],
    )
