"""Nothing is imported from the current directory, by this process or by those that it starts."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arcterm import environment
from arcterm.launch import start

SCRIPT = Path(sys.executable).with_name("arcterm")
ROOT = Path(environment.__file__).parent
SOURCES = sorted([*ROOT.rglob("*.py"), *(ROOT.parent / "registry").rglob("*.py")])
TRAPS = ("typer", "psutil", "msgspec", "numpy", "arcterm_registry", "entrypoints")


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """A current directory in which every module of TRAPS leaves a file when it is run."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sprung(folder: Path) -> str:
    path = folder / "sprung"
    return path.read_text() if path.exists() else ""


@pytest.mark.long
@pytest.mark.parametrize("pythonpath", [None, ":", ".", "nowhere::/nowhere", "/nowhere:"])
@pytest.mark.parametrize(
    "command", [[str(SCRIPT)], [sys.executable, "-m", "arcterm"]], ids=["script", "module"]
)
def test_the_command_imports_nothing_from_the_current_directory(trapped, command, pythonpath):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if pythonpath is not None:
        env["PYTHONPATH"] = pythonpath
    done = subprocess.run([*command, "runs"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, sprung(trapped)) == (0, ""), done.stderr


def test_the_traps_would_spring(trapped):
    subprocess.run([sys.executable, "-c", "import psutil"], capture_output=True, check=False)
    assert sprung(trapped) == "psutil "


def test_a_child_of_a_child_imports_nothing_from_there_either(trapped, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f":{trapped / 'nowhere'}:.")
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import numpy, psutil'], check=True)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment.for_child(), check=True)
    assert sprung(trapped) == ""


@pytest.mark.parametrize("name", ["PATH", "PYTHONPATH", "LD_LIBRARY_PATH"])
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/a:/b", "/a:/b"),
        (":/a", "/a"),
        ("/a:", "/a"),
        ("/a::.:..:rel/x:/b", "/a:/b"),
        ("/a/../a:/b", "/a/../a:/b"),
        ("", None),
        (":.", None),
    ],
)
def test_search_paths_of_children_are_absolute(monkeypatch, name, given, kept):
    monkeypatch.setenv(name, given)
    made = environment.for_child(MINE="1")
    assert made.get(name) == kept
    assert (made["PYTHONSAFEPATH"], made["MINE"]) == ("1", "1")


@pytest.mark.parametrize(("given", "kept"), [("/a", "/a"), (".", None), ("site", None)])
def test_python_does_not_live_in_the_current_directory(monkeypatch, given, kept):
    monkeypatch.setenv("PYTHONUSERBASE", given)
    assert environment.for_child().get("PYTHONUSERBASE") == kept


def test_absolute_entries_and_import_hooks_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, hook = str(tmp_path), "__editable__.mine-1.0.finder.__path_hook__"
    monkeypatch.setattr(sys, "path", [here, f"{here}/rel", "", "rel", "/lib", here, hook])
    monkeypatch.setenv("PYTHONPATH", f"rel:{here}")
    environment.forget_current_directory()
    assert sys.path == ["/lib", here, hook]  # the first was that of the script, the other is in PYTHONPATH


def test_a_folder_that_is_gone_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    environment.forget_current_directory()


@pytest.mark.parametrize("path", [p for p in SOURCES if "subprocess" in p.read_text()], ids=lambda p: p.stem)
def test_every_child_is_given_its_environment(path):
    """A process that is started without one would get ours, search paths and all."""
    started = [
        call
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and (ast.unparse(call.func) in ("subprocess.Popen", "subprocess.run", "_Detached"))
    ]
    for call in started:
        assert "env" in {keyword.arg for keyword in call.keywords}, f"{path}:{call.lineno}"


def git(*words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words], check=True, capture_output=True
    )


def test_a_repository_of_a_stranger_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    (tmp_path / "data.txt").write_text("1\n")
    git("add", "data.txt")
    git("commit", "-qm", "one")
    (tmp_path / "data.txt").write_text("2\n")
    assert start._git_revision().endswith("+dirty")
    (tmp_path / "git").write_text("#!/bin/sh\ntouch sprung\n")
    (tmp_path / "git").chmod(0o700)
    git("config", "core.fsmonitor", f"touch {tmp_path}/sprung #")
    git("config", "filter.x.clean", f"touch {tmp_path}/sprung; cat")
    (tmp_path / ".git" / "info" / "attributes").write_text("* filter=x\n")
    hook = tmp_path / ".git" / "hooks" / "post-index-change"
    hook.write_text("#!/bin/sh\ntouch sprung\n")
    hook.chmod(0o700)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert len(start._git_revision()) == 40
    assert sprung(tmp_path) == ""
