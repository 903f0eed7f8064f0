"""The options of InsightFace's scripts of 2018, of both generations, and the jobs that they become."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from arcterm.cli import app
from arcterm.cli.script2018 import megaface as module
from arcterm.errors import ConfigError


@pytest.fixture
def started(monkeypatch, tmp_path, capsys):
    """``started(*words)`` → the jobs that a command line starts, and what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str):
        configs, shared = [], []
        monkeypatch.setattr(module, "run_job", lambda c, given: (configs.append(c), shared.append(given)))
        assert app.run(list(words)) == 0
        return configs, shared, capsys.readouterr().err

    return run


def test_the_script_of_early_2018(started, tmp_path):
    (tmp_path / "fs").mkdir()
    (config,), (shared,), said = started(
        "gen-megaface", "--model", "../a/model,0|b,33", "--image_size", "3,112,96", "--gpu", "2",
        "--mean", "1", "--algo", "am", "--fsall", "1", "--mf=1", "--batch_size", "64",
        "--seed", "727", "--concat", "0", "--facescrub_lst", "fs", "--megaface-lst", "mf/lst",
        "--megaface_root", "images", "--output", "out",
    )  # fmt: skip
    assert config.group == "megaface" and config.name == "export"
    assert config.paths == ["../a/model,0", "b,33", str(tmp_path / "out")]
    assert config.options == {
        **config.options,
        "algo": "am",
        "layout": "devkit",
        "ending": "_am_112x96.bin",
        "mean": "127.5",
        "std": "128",
        "batch_size": 64,
        "skip": 0,
        "facescrub_list": str(tmp_path / "fs" / "lst"),
        "facescrub": str(tmp_path / "fs"),
        "megaface_list": str(tmp_path / "mf" / "lst"),
        "megaface": str(tmp_path / "images"),
    }
    assert shared["gpus"] == "2"
    assert "--seed does nothing" in said and "--concat does nothing" in said
    assert "--fsall does nothing" not in said and "--image-size does nothing" not in said
    assert "this is: arcterm megaface export ../a/model,0 b,33 --out" in said


def test_what_early_2018_leaves_out(started, tmp_path):
    (config,), _, said = started("gen-megaface", "--model", "m,1", "--skip", "1000", "--megaface-lst", "lst")
    assert (config.options["skip"], config.options["facescrub"]) == (1000, "")
    assert config.options["ending"] == "_mxsphereface20c_112x112.bin"
    (tmp_path / "fs").mkdir()
    (config,), _, said = started("gen-megaface", "--model", "m,1", "--mf", "0", "--facescrub-lst", "fs")
    assert config.options["megaface"] == ""
    assert config.options["facescrub_list"] == str(tmp_path / "fs" / "small_lst")
    assert "--fsall" not in said
    _, _, said = started("gen-megaface", "--model", "m,1", "--fsall", "1", "--facescrub-lst", "fs.lst")
    assert "--fsall does nothing" in said


def test_the_script_of_late_2018(started, tmp_path):
    (tmp_path / "data" / "facescrub_images").mkdir(parents=True)
    (config,), (shared,), said = started(
        "gen-megaface", "--model", "../m,0", "--gpu", "0", "--image_size", "3,112,112"
    )
    assert config.options["ending"] == "_insightface.bin"
    assert config.options["facescrub"] == str(tmp_path / "data" / "facescrub_images")
    assert config.options["facescrub_list"] == str(tmp_path / "data" / "facescrub_lst")
    assert config.options["megaface"] == str(tmp_path / "data")
    assert config.paths[-1] == str(tmp_path / "feature_out")
    assert shared["gpus"] == "0" and "--image-size does nothing" in said
    (config,), _, _ = started("gen-megaface", "--model", "m,0", "--algo", "r100", "--ending", "_r100_x.bin")
    assert (config.options["algo"], config.options["ending"]) == ("r100", "_r100_x.bin")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gen-megaface"], "--model is missing"),
        (["gen-megaface", "--model", "m,0", "--image_size", "112"], "--image-size 112 is no three numbers"),
        (["remove-noises"], "there is no facescrub_noises.txt here"),
        (
            ["remove-noises", "--feature-dir-input", "a", "--megaface-feature-dir", "b"],
            "don't go with --facescrub-feature-dir",
        ),
    ],
)
def test_what_is_missing_is_said(started, words, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        started(*words)
    assert caught.value.hint


def lists_in(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("facescrub_noises.txt", "megaface_noises.txt", "facescrub_lst"):
        (folder / name).touch()


def test_noise_by_the_script_of_early_2018_is_two_jobs(started, tmp_path):
    lists_in(tmp_path)
    configs, _, said = started(
        "remove-noises", "--suffix", "r100_112x112", "--algo", "r100_cm_112x112", "--facescrub-lst", "fs/lst",
        "--facescrub-feature-dir", "FS/", "--megaface_feature_dir", "MF", "--megaface-feature-dir-out", "OUT",
        "--seed", "3",
    )  # fmt: skip
    assert [config.paths for config in configs] == [
        [str(tmp_path / "FS"), str(tmp_path / "FS_cm")],
        [str(tmp_path / "MF"), str(tmp_path / "OUT")],
    ]
    for config in configs:
        assert config.options["ending"] == "_r100_112x112.bin"
        assert config.options["new_ending"] == "_r100_cm_112x112.bin"
        assert config.options["seed"] == 3
    assert configs[0].options["facescrub_list"] == str(tmp_path / "fs" / "lst")
    assert configs[0].options["megaface_noises"] == "" and configs[1].options["facescrub_noises"] == ""
    assert configs[1].options["megaface_noises"] == str(tmp_path / "megaface_noises.txt")
    assert "no list of megaface's images" in said and "this is: arcterm megaface clean" in said


def test_noise_by_the_script_of_late_2018_is_one_job(started, tmp_path):
    lists_in(tmp_path / "data")
    (config,), _, _ = started("remove-noises", "--algo", "r100ii")
    assert config.paths == [str(tmp_path / "feature_out"), str(tmp_path / "feature_out_clean")]
    assert (config.options["ending"], config.options["new_ending"]) == ("_r100ii.bin", "_r100ii.bin")
    assert config.options["facescrub_noises"] == str(tmp_path / "data" / "facescrub_noises.txt")
    assert config.options["facescrub_list"] == str(tmp_path / "data" / "facescrub_lst")
    assert config.options["megaface_list"] == ""


def test_the_help_has_one_spelling_of_each_option(capsys):
    for command in ("gen-megaface", "remove-noises"):
        app.run([command, "--help"])
        assert not re.search(r"--\w+_", capsys.readouterr().out)
