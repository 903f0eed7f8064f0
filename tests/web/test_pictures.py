"""``make pictures``: every screen of the console, alike in a browser and in librsvg."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from .browser import browsing, chromium

ROOT = Path(__file__).resolve().parents[2]
COMPARED = ("dash", "compare", "launch", "tour")
WIDTH, HEIGHT = 1232, 752
COARSE = 8  # pixels that are taken together: fonts are smoothed differently


def load():
    """The script as a module."""
    path = ROOT / "docs" / "pictures" / "make.py"
    spec = importlib.util.spec_from_file_location("make_pictures", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def coarse(png: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels.shape == (HEIGHT, WIDTH)
    return cv2.resize(pixels, (WIDTH // COARSE, HEIGHT // COARSE), interpolation=cv2.INTER_AREA).astype(float)


@pytest.mark.slow
def test_every_screen_is_drawn_and_looks_alike_everywhere(tmp_path, monkeypatch):
    make = load()
    monkeypatch.setattr(sys, "argv", ["make.py", str(tmp_path)])
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "LANG", "NO_COLOR"):
        monkeypatch.setenv(name, "")  # put back after it
    make.main()
    drawn = {path.stem for path in tmp_path.glob("*.svg")}
    assert drawn == {scene.name for scene in make.SCENES} | {"tour"}
    assert drawn == {path.stem for path in (ROOT / "docs" / "pictures").glob("*.svg")}
    for path in tmp_path.glob("*.svg"):
        ElementTree.parse(path)
    head, *frames = [json.loads(line) for line in (tmp_path / "tour.cast").read_text().splitlines()]
    assert head["version"] == 2 and len(frames) > 5 and all("\x1b[H" in frame[2] for frame in frames[:-1])
    chromium()
    if shutil.which("rsvg-convert") is None:
        pytest.skip("no rsvg-convert here; .ci/run installs it")
    asyncio.run(compare(tmp_path))


async def compare(folder: Path) -> None:
    async with browsing() as page:
        await page.resize(WIDTH, HEIGHT)
        for name in COMPARED:
            path = folder / f"{name}.svg"
            await page.open(path.as_uri())
            await page.until("document.querySelectorAll('text').length > 20")
            process = await asyncio.create_subprocess_exec(
                "rsvg-convert", "-w", str(WIDTH), "-b", "white", str(path), stdout=asyncio.subprocess.PIPE
            )
            other, _ = await process.communicate()
            here, there = coarse(await page.picture()), coarse(other)
            assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.95, name
            assert np.abs(here - there).mean() < 5, name
            assert here.std() > 5  # it is not blank
        assert page.problems == [] and all(address.startswith("file:") for address in page.requests)
