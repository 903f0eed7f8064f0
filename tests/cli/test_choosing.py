"""What is chosen and set: mistakes are told what was meant, plans repeat what was given."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys

import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm.neighbours import near, owned, way
from arcterm.runs import state, store

from ..inprocess import in_process
from ..runs.conftest import config

ARCTERM = [sys.executable, "-m", "arcterm"]


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder; the data are never looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    monkeypatch.setattr("arcterm.launch.devices.torch_has_cuda", lambda: False)
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", facts)
    return in_process(monkeypatch, capsys)


def facts(*_):
    return DatasetFacts(images=1000, classes=10, image_size=(112, 112), fingerprint="x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("arcface", "r50"), "`arcterm train r50 arcface`"),
        (("arcfac", "r5"), "`arcterm train r50 arcface`"),
        (("cosface", "vit_t"), "`arcterm train vit_t cosface`"),
        (("triplet", "tinny"), "`arcterm train tiny triplet`"),
        (("arcface",), "`arcterm train r50 arcface`"),
        (("arcfaze",), "arcface is a loss, and no backbone is chosen"),
        (("r50",), "`arcterm train r50 arcface`"),
        ((), "`arcterm train r50 arcface`"),
        (("r50", "r18"), "r18 is a backbone"),
        (("arcface", "cosface"), "arcface is a loss"),
        (("r50", "arcface", "--dataset", "cosface"), "cosface is a loss"),
        (("r5", "arcface"), "did you mean r50"),
    ],
)
def test_a_loss_in_the_place_of_the_backbone_is_noticed(arcterm, words, said):
    code, out, err = arcterm("train", *words)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("margin", "loss.margin"),
        ("scale", "loss.scale"),
        ("easy_margin", "loss.easy_margin"),
        ("margn", "loss.margin"),
        ("dropout", "backbone.dropout"),
        ("resize", "dataset.resize"),
        ("num_workers", "loader_threads"),
        ("workers", "loader_threads"),
        ("learning_rate", "lr"),
        ("wd", "weight_decay"),
        ("weight-decay", "weight_decay"),
        ("batchSize", "batch_size"),
        ("bs", "batch_size"),
        ("amp", "precision"),
        ("fp16", "precision"),
        ("network", "backbone"),
        ("output", "runs_dir"),
        ("num_epoch", "epochs"),
        ("momentun", "momentum"),
        ("loss.momentum", "momentum"),
        ("lr_steps", "milestones"),
        ("frequent", "verify_every"),
        ("embedding_size", "backbone.embedding_size"),
    ],
)
def test_a_setting_that_isnt_there_is_told_its_neighbours(arcterm, name, meant, tmp_path):
    assert meant in near(name)
    shown = "--runs-dir" if meant == "runs_dir" else meant
    if "." not in name:
        assert shown in arcterm("train", "tiny", "arcface", "--set", f"{name}=1")[2].partition("settings:")[0]
        (tmp_path / "x.toml").write_text(f'"{name}" = 1\n')
        assert shown in arcterm("train", "--config", "x.toml")[2].partition("settings:")[0]
        if name in ("margin", "scale"):  # which have flags
            return
        code, _, err = arcterm("train", "tiny", "arcface", f"--{name.replace('_', '-')}", "1")
        assert (code, way(meant).rstrip("…") in err) == (2, True)


def test_the_neighbours_are_settings_or_options_that_there_are():
    from arcterm import neighbours
    from arcterm.settings import SETTINGS

    known = {option.name for option in SETTINGS} | {"backbone", "loss", "dataset", "name", "runs_dir"}
    assert set(neighbours._ELSEWHERE.values()) <= known | set(owned())
    assert not set(neighbours._ELSEWHERE) & known
    assert near("zzzzzz") == []


def test_an_option_of_a_plugin_that_is_a_setting_is_told_so(arcterm):
    assert "did you mean lr?" in arcterm("train", "tiny", "arcface", "--set", "loss.lr=1")[2]
    assert "did you mean margin" in arcterm("train", "tiny", "arcface", "--set", "loss.margn=1")[2]


@pytest.mark.long
def test_a_plan_repeats_what_was_given(arcterm, tmp_path):
    (tmp_path / "x.toml").write_text("momentum = 0.8\n[loss_options]\neasy_margin = true\n")
    words = ("--set", "weight_decay=1e-4", "--set", "backbone.dropout=0.2", "--seed", "3")
    _, _, err = arcterm("train", "tiny", "arcface", "--config", "x.toml", *words, "--dry-run")
    (line,) = [line for line in err.splitlines() if line.startswith("  given ")]
    for said in (
        "momentum 0.8",
        "weight_decay 0.0001",
        "backbone.dropout 0.2",
        "loss.easy_margin true",
        "seed 3",
    ):
        assert said in line
    assert "given " not in arcterm("train", "tiny", "arcface", "--dry-run")[2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["schedule=multistep", "milestones=10,5000"],
            "milestone 5000 is never reached: the run ends at step 100",
        ),
        (["schedule=multistep", "milestones=5000,6000"], "every milestone is never reached"),
        (["schedule=multistep", "milestones=100"], "is never reached"),
        (["milestones=10,20"], "milestones does nothing: schedule is poly"),
        (["gamma=0.2"], "gamma does nothing: schedule is poly"),
        (["schedule=multistep", "power=1"], "power does nothing: schedule is multistep"),
        (["crop_area=0.5"], "crop_area does nothing: crop is 0"),
        (["jpeg_low=5"], "jpeg_low does nothing: jpeg is 0"),
        (["schedule=multistep", "milestones=10,99"], ""),
        (["crop=0.1", "crop_area=0.5"], ""),
    ],
)
def test_settings_that_do_nothing_are_said(arcterm, settings, said):
    words = [word for setting in settings for word in ("--set", setting)]
    code, _, err = arcterm("train", "tiny", "arcface", "--steps", "100", *words, "--dry-run")
    assert code == 0
    assert said in err if said else "note " not in err


# --- completion


def completed(monkeypatch, capsys, shell, line):
    """What is offered for a command line that ends where the cursor is."""
    words = line.split(" ")
    monkeypatch.setenv("_ARCTERM_COMPLETE", f"complete_{shell}")
    if shell == "bash":
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    else:
        monkeypatch.delenv("COMP_WORDS", raising=False)
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    return in_process(monkeypatch, capsys)()[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("arcterm ", ["train", "runs", "plugins", "model"]),
        ("arcterm tra", ["train"]),
        ("arcterm train r1", ["r18", "r100", "r152"]),
        ("arcterm train r50 cos", ["cosface"]),
        ("arcterm train r50 cosface --dat", ["--dataset"]),
        ("arcterm train r50 cosface --set loss.eas", ["loss.easy_margin="]),
        ("arcterm train r50 cosface --set weight", ["weight_decay="]),
        ("arcterm data pa", ["pack"]),
        ("arcterm data pack --hold", ["--hold-out"]),
        ("arcterm model export --form", ["--format"]),
        ("arcterm model export x --format to", ["torchscript"]),
        ("arcterm show ", ["last", "mine"]),
        ("arcterm resume mi", ["mine"]),
        ("arcterm plugins lo", ["loss"]),
        ("arcterm plugins loss arcf", ["arcface"]),
    ],
)
def test_a_shell_is_offered_what_there_is(monkeypatch, capsys, tmp_path, shell, line, offered):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    run = store.create(tmp_path / "runs", config(), label="x", name="mine", argv=[], host="h")
    state.write_state(run, "done", attempt=1)
    out = completed(monkeypatch, capsys, shell, line)
    for word in offered:
        assert word in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_what_is_installed_completes_in_bash(tmp_path):
    """The script that ``--show-completion`` prints, sourced by a bash that completes with it."""
    (tmp_path / "arcterm").write_text(f'#!/bin/sh\nexec {sys.executable} -m arcterm "$@"\n')
    (tmp_path / "arcterm").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    script = (
        "arcterm --install-completion >&2; source ~/.bash_completions/arcterm.sh\n"
        "COMP_WORDS=(arcterm train r1); COMP_CWORD=2; _arcterm_completion arcterm; echo ${COMPREPLY[@]}\n"
        'COMP_WORDS=(arcterm show ""); COMP_CWORD=2; _arcterm_completion arcterm; echo ${COMPREPLY[@]}\n'
        "COMP_WORDS=(arcterm pl); COMP_CWORD=1; _arcterm_completion arcterm; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "r100 r101 r152 r18\nlast\nplan plugins\n", done.stderr


def test_completing_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['arcterm']\nfrom arcterm.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.__stdout__)"
    )
    env = {
        **os.environ,
        "_ARCTERM_COMPLETE": "complete_bash",
        "COMP_CWORD": "2",
        "ARCTERM_RUNS": str(tmp_path),
    }
    env["COMP_WORDS"] = "arcterm train r1"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "r18" in done.stdout and not loaded & {"torch", "numpy", "textual"}


# --- the first line


@pytest.mark.parametrize(
    "words",
    [
        ("embed", "x.safetensors", "a.jpg"),
        ("compare", "x.safetensors", "a.jpg", "b.jpg"),
        ("model", "show", "x.pt"),
        ("model", "import", "x.pt"),
        ("model", "export", "x.safetensors"),
        ("plugins", "check", "r18"),
    ],
)
def test_something_is_said_before_anything_that_takes_long_begins(arcterm, monkeypatch, words, capsys):
    said = []

    def late(*_, **__):
        said.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr("arcterm.processes.child.ask", late)
    monkeypatch.setattr("arcterm.inputs.models.locate", late)
    monkeypatch.setattr("subprocess.Popen", late)
    assert arcterm(*words)[0] == 130
    assert "PyTorch takes a few seconds" in said[0]


@pytest.mark.slow
def test_training_says_at_once_what_it_waits_for(tmp_path):
    """The first line comes while nothing that takes long is loaded yet."""
    env = {**os.environ, "ARCTERM_RUNS": str(tmp_path), "ARCTERM_CACHE": str(tmp_path)}
    command = [*ARCTERM, "train", "tiny", "arcface", "--steps", "1", "--dry-run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=env) as process:
        assert process.stderr is not None
        ready, _, _ = select.select([process.stderr], [], [], 60)
        assert ready and process.poll() is None
        first = process.stderr.readline()
        process.terminate()
    assert b"using the demo" in first
