"""Who may import whom, checked in processes of their own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "numpy", "textual", "cv2", "sklearn", "rich", "pydantic")


def loaded_by(code: str) -> set[str]:
    report = f"{code}\nimport sys; print(*sys.modules, file=sys.__stdout__)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plugins"],
        ["plugins", "backbone", "--json"],
        ["train", "--help"],
        ["recipes", "--json"],
        ["data", "--help"],
        ["runs"],
    ],
)
def test_light_commands_load_nothing_heavy(arguments):
    command = f"import sys; sys.argv = ['arcterm', *{arguments}]\nfrom arcterm.cli import main"
    assert not loaded_by(f"{command}\ntry: main()\nexcept SystemExit: pass") & set(HEAVY)


def test_the_list_of_runs_loads_nothing_that_starts_or_draws_one():
    assert not loaded_by("import arcterm.console.app, arcterm.console.screens.runs") & {
        "numpy",
        "torch",
        "cv2",
    }


def test_names_and_declarations_load_nothing_heavy():
    code = "from arcterm_registry import names, scan, KINDS\nfor k in KINDS: names(k); scan(k)"
    assert not loaded_by(code) & set(HEAVY)


def test_the_check_would_notice():
    assert "numpy" in loaded_by("import arcterm.formats.recordio.container")


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "banned"),
    [
        ("cli", {"torch", "textual", "pynvml"}),
        ("console", {"torch", "typer", "pynvml"}),
        ("show", {"torch", "textual", "typer", "pynvml"}),
        ("launch", {"torch", "textual", "typer", "rich"}),
        ("runs", {"torch", "textual", "typer", "rich", "pynvml"}),
        ("formats", {"torch", "textual", "typer", "rich", "pynvml"}),
        ("datasets", {"torch", "textual", "typer", "rich", "pynvml"}),
    ],
)
def test_no_module_of_a_package_loads(package, banned):
    code = f"""
import importlib, pkgutil, arcterm.{package} as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)"""
    assert not loaded_by(code) & banned


def test_the_supervisor_loads_nothing_heavy():
    assert not loaded_by("import arcterm.processes.supervisor") & {*HEAVY, "typer"}


@pytest.mark.long
@pytest.mark.parametrize(
    "module", ["arcterm.processes.rank", "arcterm.train.loop", "arcterm.processes.agent"]
)
def test_the_rank_side_never_loads_the_console(module):
    assert not loaded_by(f"import {module}") & {"textual", "typer", "rich"}


def sources() -> list[Path]:
    return [*(ROOT / "arcterm").rglob("*.py"), *(ROOT / "registry").rglob("*.py")]


@pytest.mark.long
def test_nothing_untrusted_is_unpickled_or_run():
    """No pickle.load, eval, exec, os.system or shell=True in the package, torch.load for weights alone."""
    banned = {"load": {"pickle", "torch", "marshal"}, "loads": {"pickle", "marshal"}, "system": {"os"}}
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            call = node.func
            owner = (
                call.value.id if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) else ""
            )
            name = (
                call.attr
                if isinstance(call, ast.Attribute)
                else call.id
                if isinstance(call, ast.Name)
                else ""
            )
            shell = any(k.arg == "shell" for k in node.keywords)
            if name == "load" and owner == "torch" and _weights_only(node, path):
                continue
            if (
                shell
                or owner in banned.get(name, ())
                or (isinstance(call, ast.Name) and name in ("eval", "exec"))
                or name == "Unpickler"
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert found == []


def _weights_only(call: ast.Call, path: Path) -> bool:
    """Whether this is one of the two places that read other programs' pickles, and reads tensors alone."""
    said = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
    places = (ROOT / "arcterm/export/torchfile.py", ROOT / "arcterm/detectors/cascade/weights.py")
    return path in places and said.get("weights_only") is True
