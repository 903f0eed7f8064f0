"""docs/how-it-works.md names what is there, every folder, and the words that code avoids."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "arcterm").rglob("*.py"))
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("what", "file", "name"), rows("Where to find"))
def test_what_the_map_names_is_there(what, file, name):
    (path,), (wanted,) = quoted(file), quoted(name)
    defined = {getattr(node, "name", "") for node in parsed(ROOT / path).body}
    assert wanted in defined, what


def test_every_folder_has_a_line_and_no_folder_is_a_heap():
    listed = {quoted(row[0])[0] for row in rows("Rooms")}
    folders: dict[str, int] = {}
    for path in MODULES:
        folder = str(path.parent.relative_to(ROOT))
        folders[folder] = folders.get(folder, 0) + 1
    assert listed - {"registry/arcterm_registry"} == set(folders)
    assert {folder: count for folder, count in folders.items() if count > 20} == {}


def test_the_map_is_linked():
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "docs/how-it-works.md" in (ROOT / page).read_text(encoding="utf-8")


AVOIDED = [word for row in rows("Words") for word in quoted(row[2])]
LOWER = {word for word in AVOIDED if word.islower()}


def words(name: str) -> set[str]:
    """``task_config`` and ``TaskConfig`` → task, config; a plural is its singular."""
    parts = re.findall(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+", name)
    return {word for part in parts for word in (part.lower(), part.lower().removesuffix("s"))}


@cache
def avoided(name: str) -> bool:
    """Whether a name is one of the avoided, or has an avoided word among its own."""
    return name in AVOIDED or bool(words(name) & LOWER)


def names(module: ast.Module) -> list[str]:
    """Classes, functions, fields, and the keys and names that are written as text."""
    found = []
    for node in ast.walk(module):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found.append(node.name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.append(name)
            case ast.Dict():
                keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
                found += [key for key in keys if isinstance(key, str) and _KEY.fullmatch(key)]
            case ast.keyword(arg="name", value=ast.Constant(value=str(name))):
                found.append(name)
    return found


@pytest.mark.long
def test_no_name_is_an_avoided_word():
    wrong = [str(path) for path in MODULES if any(avoided(part) for part in path.with_suffix("").parts[-3:])]
    for path in MODULES:
        wrong += [f"{path}: {name}" for name in names(parsed(path)) if avoided(name)]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *((name, True) for name in ("task_config", "_tell", "PluginOrigin", "Job", "TASKS", "DataConfig")),
        *((name, False) for name in ("JobSpec", "original", "multitasking", "teller", "job", "told")),
    ],
)
def test_an_avoided_word_is_noticed(name, wrong):
    assert avoided(name) is wrong


def test_class_names_stand_in_one_module():
    homes: dict[str, list[Path]] = {}
    for path in MODULES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path)
    assert len([name for name, paths in homes.items() if len(paths) > 1]) <= 6
