"""The scripts of 2018 by their options, and the layouts of what they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs import save_weights
from tests.megaface.faces import write_sets
from tests.megaface.folders import FACESCRUB, MEGAFACE

pytestmark = pytest.mark.slow


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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
