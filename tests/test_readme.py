"""The README is true: its package installs as printed, its lines are those of make demo, its links hold."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_it_says_what_it_needs():
    install = README.partition("## Install")[2].partition("\n## ")[0]
    for need in ("git clone", "Python 3.11", "NVIDIA driver", "GB", "download.pytorch.org/whl/cpu"):
        assert need in install
    assert "must be aligned" in README
    assert "--align" in README


def test_its_lines_are_those_of_make_demo():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [trained] = re.findall(r"^demo:.*\n\t\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
    assert f"    .venv/bin/{trained}\n" in README
    [installed] = re.findall(r"^\$\(VENV\)/\.demo:.*\n.*\n\t\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
    assert f".venv/bin/{installed}\n" in README
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    [pinned] = re.findall(r"pip install (torch==\S+) --index-url", README)
    assert pinned in pins


@pytest.mark.long
def test_its_plugin_installs_as_printed(tmp_path):
    blocks = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", README, re.DOTALL))
    assert set(blocks) == {"arcterm_plain.py", "pyproject.toml"}
    for name, text in blocks.items():
        (tmp_path / name).write_text(f"# {name}\n{text}", encoding="utf-8")
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, tmp_path], check=True, capture_output=True)
    listing = "import sys; sys.argv = ['arcterm', 'plugins', 'backbone', 'plain', '--json']\n"
    listing += "from arcterm.cli import main; main()"
    env = os.environ | {"PYTHONPATH": f"{target}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", listing], env=env, check=True, capture_output=True, text=True
    )
    [found] = json.loads(done.stdout)
    assert (found["distribution"], found["error"], found["parameters"]) == ("arcterm-plain", None, 133_952)
    counted = "import arcterm_plain as p; print(sum(w.numel() for w in p.build().parameters()))"
    done = subprocess.run(
        [sys.executable, "-c", counted], env=env, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert int(done.stdout) == 133_952


def anchors(path: Path) -> set[str]:
    """The headings of a document as links name them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize(
    "picture", sorted((ROOT / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.name
)
def test_pictures_need_no_rare_glyphs(picture):
    root = ET.parse(picture).getroot()
    texts = "".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    assert len(texts) > 200
    rare = {sign for sign in texts if ord(sign) > 0xFF} - set("…–→±≤≥“”’∞")
    assert not rare


def test_curves_of_the_picture_are_dots():
    picture = ET.parse(ROOT / "docs" / "pictures" / "dash.svg").getroot()
    dots = [node for node in picture.iter("{http://www.w3.org/2000/svg}path") if node.get("class") == "dots"]
    assert sum(node.attrib["d"].count("h0") for node in dots) > 200


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_benchmarks_import_what_is_installed(script):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {re.split(r"[^\w-]", need)[0].lower() for need in project["dependencies"]}
    modules = {"opencv-python-headless": "cv2", "scikit-learn": "sklearn"}
    known = {modules.get(name, name) for name in asked} | {"arcterm", "arcterm_registry"}
    known |= {other.stem for other in script.parent.glob("*.py")}
    tree = ast.parse(script.read_text(encoding="utf-8"))
    for node in tree.body:  # what a function or a try imports may be missing
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top = name.partition(".")[0]
            assert top in known or top in sys.stdlib_module_names, name


@pytest.mark.slow
def test_the_loader_is_measured_on_a_clean_install(tmp_path):
    command = [
        sys.executable,
        ROOT / "benchmarks" / "loader.py",
        "--images",
        "256",
        "--rounds",
        "1",
        "--open",
        "9",
    ]
    hidden = "raise ModuleNotFoundError('hidden', name=__name__)"
    (tmp_path / "PIL.py").write_text(hidden)
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert "skipped: naive" in done.stdout
    assert "differing pixels: 0 images" in done.stdout
