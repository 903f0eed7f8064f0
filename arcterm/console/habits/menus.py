"""What works on every screen: the clipboard, the theme, and the demo where there is no run yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from arcterm.console import remembered
from arcterm.console.habits.themes import THEMES
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import Pick
from arcterm.errors import ArctermError
from arcterm.show.lines import shorten
from arcterm.text import clean

if TYPE_CHECKING:
    from arcterm.console.app import Console

DEMO = {
    "backbone": "tiny",
    "loss": "arcface",
    "lr": 0.1,
    "epochs": 12,
    "verify_every": "250",
}
_DEMO_COMMAND = "arcterm train tiny arcface --lr 0.1 --epochs 12 --verify-every 250"


def copy(console: Console) -> None:
    """Ask what to put on the clipboard, by OSC 52, which works through SSH and tmux too."""
    screen = console.screen
    selected = screen.get_selected_text()
    texts = [("selected text", selected)] if selected else []
    try:
        texts += screen.copies() if isinstance(screen, ConsoleScreen) else []
    except ArctermError as error:
        console.show_error(error)
        return
    if not texts:
        console.notify("nothing to copy here; drag over text with the mouse first", timeout=3, markup=False)
        return

    def take(place: object) -> None:
        if isinstance(place, int):
            text = texts[place][1]
            console.copy_to_clipboard(text)
            console.notify(f"copied: {shorten(clean(text), 60)}", timeout=3, markup=False)

    console.push_screen(Pick("copy", texts), take)


def choose_theme(console: Console) -> None:
    """Ask for a theme, and keep it."""
    names = list(THEMES)
    cursor = next((i for i, (theme, _) in enumerate(THEMES.values()) if theme == console.theme), 0)

    def take(place: object) -> None:
        if isinstance(place, int):
            paint(console, names[place])
            remembered.put("theme", names[place])

    choices = [(name, words) for name, (_, words) in THEMES.items()]
    console.push_screen(Pick("theme", choices, cursor), take)


def paint(console: Console, name: str) -> None:
    """Draw in theme `name`; an unknown one changes nothing."""
    if name in THEMES:
        console.theme = THEMES[name][0]


def start_demo(console: Console) -> None:
    """Train a small model on drawn faces, and open its dashboard."""
    from arcterm.launch import start
    from arcterm.launch.plan import make_plan

    def begin() -> Callable[[], None]:
        plan = make_plan(DEMO, root=console.root)
        run = start.start(plan, console.root, argv=_DEMO_COMMAND.split())
        return lambda: _open(console, run.id)

    if isinstance(console.screen, ConsoleScreen):
        console.notify("the faces are drawn, then training starts", timeout=5, markup=False)
        console.screen.act(begin)


def _open(console: Console, run: str) -> None:
    from arcterm.runs import store

    console.open_run(store.find(console.root, run))
