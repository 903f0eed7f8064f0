"""Real faces from the folder to a verified model."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def test_forty_people_are_packed_trained_and_verified(arcterm, test_data):
    faces = test_data("faces/orl")
    report = arcterm.json("data", "pack", str(faces), "orl", "--hold-out", "10", "--resize")
    assert (report["classes"], report["train_images"], report["pairs"]) == (30, 300, 900)
    refused = arcterm("data", "pack", str(faces), "orl2", "--hold-out", "10", code=3)
    assert "--resize" in refused.stderr
    assert not (arcterm.folder / "orl2").exists()
    checked = arcterm("data", "check", "orl")
    assert "30 people, 300 images" in checked.stdout and "no problems found" in checked.stdout
    told = arcterm.json(
        "train", "tiny", "arcface", "--dataset", "orl", "--nproc", "2", "--batch-size", "15",
        "--epochs", "20", "--lr", "0.1", "--seed", "2",
    )  # fmt: skip
    assert (told["state"], told["steps"], told["dataset"]["images"]) == ("done", 200, 300)
    assert told["verification"]["heldout"]["accuracy"] > 0.8
    assert told["accuracy"] > 0.5


def test_a_truncated_pack_and_a_broken_record_are_named(arcterm, pack):
    whole = (pack / "train.rec").read_bytes()
    for name, damaged in (
        ("short", whole[:-3000]),
        ("noise", whole.replace(b"\xff\xd8\xff", b"\x00\x00\x00")),
    ):
        copy = arcterm.folder / name
        copy.mkdir()
        for file in pack.iterdir():
            (copy / file.name).write_bytes(damaged if file.name == "train.rec" else file.read_bytes())
        done = arcterm("train", "plain", "cosface", "--dataset", str(copy), "--steps", "5", code=3)
        assert "train." in done.stderr
        assert str(copy) in done.stderr
        assert "→" in done.stderr
    half = arcterm.folder / "half"
    half.mkdir()
    for file in pack.iterdir():
        data = file.read_bytes()
        (half / file.name).write_bytes(data[: len(data) // 2] if file.suffix == ".bin" else data)
    assert not (arcterm.folder / "runs").exists()
    done = arcterm("train", "plain", "cosface", "--dataset", str(half), "--steps", "5", "--dry-run")
    assert "verification set heldout is set aside" in done.stderr
    assert "heldout.bin" in done.stderr
