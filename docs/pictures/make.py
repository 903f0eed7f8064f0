"""``make pictures``: every screen of the console as SVG, with made-up runs, and a film of some of them.

It is the console itself, run without a terminal. The runs are written into a directory that is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.segment import Segment
from textual.pilot import Pilot
from textual.strip import Strip

sys.path.insert(0, str(Path(__file__).parent))

import drawing
import samples

from arcterm.console.app import Console

SIZE = (120, 36)
STILL, PATIENCE = 3, 400
"""Looks that must show the same, and looks at most."""
BUSY = ("checking …", "reading …")
HERE = Path(__file__).parent


class Scene(NamedTuple):
    """A screen by its file's name, the keys that lead there from the one before, its seconds in the film."""

    name: str
    keys: Sequence[str]
    seconds: float = 0.0


SCENES = (
    Scene("runs", ["1", "home"], 3),
    Scene("dash", ["2"], 4),
    Scene("chart", ["z", "c", "left", "left"], 3),
    Scene("compare", ["z", "1", "home", *["down"] * 3, "space", "down", "space", "3"], 4),
    Scene("launch", ["4"], 4),
    Scene("registry", ["5"], 3),
    Scene("jobs", ["6"], 2),
    Scene("data", ["7"], 2),
    Scene("help", ["1", "question_mark"]),
)


class Shot(NamedTuple):
    """What a screen showed: its rows, and the colour behind them."""

    strips: list[Strip]
    behind: str


async def shoot(root: Path, scenes: Sequence[Scene], size: tuple[int, int] = SIZE) -> dict[str, Shot]:
    """Go through `scenes` over the runs in `root`; returns what each showed."""
    app, shots = Console(root), {}
    async with app.run_test(size=size) as pilot:
        for scene in scenes:
            for key in scene.keys:
                await pilot.press(key)
                if key.isdecimal():
                    await _rest(app, pilot)
            await _rest(app, pilot)
            strips = [_elsewhere(strip) for strip in app.screen._compositor.render_strips()]
            shots[scene.name] = Shot(strips, app.screen.styles.background.hex)
    return shots


def _elsewhere(strip: Strip) -> Strip:
    """The row without the place of this installation, which is nobody's business."""
    other = "/home/me/.venv".ljust(len(sys.prefix), "_")[: len(sys.prefix)]
    return Strip([Segment(text.replace(sys.prefix, other), style) for text, style, _ in strip])


async def _rest(app: Console, pilot: Pilot[None]) -> None:
    """Wait until a screen has read what it shows, and shows the same for a while."""
    before, alike = "", 0
    for _ in range(PATIENCE):
        await pilot.pause(0.02)
        now = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        alike = alike + 1 if now == before and not any(word in now for word in BUSY) else 0
        before = now
        if alike == STILL:
            return


def cast(shots: Sequence[tuple[Shot, float]], size: tuple[int, int]) -> str:
    """A recording for asciinema (asciicast v2): whole screens, each for its seconds."""
    lines = [json.dumps({"version": 2, "width": size[0], "height": size[1], "title": "arcterm"})]
    at = 0.0
    for shot, seconds in shots:
        text = "\x1b[H" + "\r\n".join(_ansi(strip) for strip in shot.strips)
        lines.append(json.dumps([at, "o", text], ensure_ascii=False))
        at += seconds
    lines.append(json.dumps([at, "o", ""]))
    return "\n".join(lines) + "\n"


def _ansi(strip: Strip) -> str:
    return "".join(style.render(text) if style else text for text, style, _ in strip)


def main() -> None:
    """Draw all scenes into the folder that is given, by default this one."""
    place = Path(sys.argv[1] if len(sys.argv) > 1 else HERE).absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder, "LANG": "C.UTF-8"}
        os.environ.pop("NO_COLOR", None)
        with contextlib.chdir(folder):
            samples.write(Path("runs"))
            shots = asyncio.run(shoot(Path("runs"), SCENES))
    for name, shot in shots.items():
        picture = drawing.document(drawing.sketch(shot.strips, shot.behind), shot.behind, SIZE)
        (place / f"{name}.svg").write_text(picture, encoding="utf-8")
    shown = [(shots[scene.name], scene.seconds) for scene in SCENES if scene.seconds]
    frames = [(drawing.sketch(shot.strips, shot.behind), seconds) for shot, seconds in shown]
    (place / "tour.svg").write_text(drawing.film(frames, shown[0][0].behind, SIZE), encoding="utf-8")
    (place / "tour.cast").write_text(cast(shown, SIZE), encoding="utf-8")


if __name__ == "__main__":
    main()
