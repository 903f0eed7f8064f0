"""What a run's model is good for, from its dashboard: verified, exported, applied to faces."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from arcterm.config import PATH_FIELD
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import Ask, TextBox
from arcterm.console.screens.command import run_command
from arcterm.errors import ArctermError, ConfigError
from arcterm.runs.store import Run

_USES = {
    "verify": ("verify", "score it on verification sets: a form, then a job"),
    "export": ("export", "write it as .onnx, .safetensors or TorchScript's .ts, and compare that"),
    "embed": ("embed", "embed aligned faces into an .npz"),
    "compare": ("compare", "say how alike two faces are, and whether that is one person"),
}
_FORMATS = {".onnx": "onnx", ".safetensors": "safetensors", ".ts": "torchscript"}


class UseBox(TextBox):
    """Asks what to do with a model; answers with the name of the use."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(number), f"choose('{name}')", name) for number, name in enumerate(_USES, 1)
    ]

    def __init__(self, name: str, which: str) -> None:
        super().__init__()
        self._name, self._which = name, which

    def compose(self) -> ComposeResult:
        rows = [(str(number), title, text) for number, (title, text) in enumerate(_USES.values(), 1)]
        with Vertical(classes="box"):
            yield self.box(f"use the {self._which} checkpoint of {self._name}", self.choices(rows))

    def action_choose(self, use: str) -> None:
        self.dismiss(use)


def offer(screen: ConsoleScreen, run: Run, scored: bool) -> None:
    """Ask what to do with the model of `run`, and do it; the best checkpoint if they are `scored`."""
    which = "best" if scored else "last"

    def answer(use: object) -> None:
        if use == "verify":
            verify(screen, run, which)
        elif isinstance(use, str):
            _ask(screen, run, which, use)

    screen.app.push_screen(UseBox(run.name, which), answer)


def verify(screen: ConsoleScreen, run: Run, which: str) -> None:
    """Show the form of a verification of `run`."""
    screen.console_app.open_job("verify", {f"{PATH_FIELD}model": run.id, "checkpoint": which})


def command(run: Run, which: str, use: str, text: str) -> list[str]:
    """The words after ``arcterm`` for a `use`, of what was typed; raises `ConfigError` if that can't be."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{text}: {error}", "close the quotation") from None
    asked = ["--checkpoint", which]
    if use == "export":
        suffix = next((ending for ending in _FORMATS if words and words[0].endswith(ending)), "")
        if len(words) != 1 or not suffix:
            raise ConfigError(f"{text!r} is no file to export to", "end it in .onnx, .safetensors or .ts")
        return ["model", "export", run.id, "-o", words[0], "--format", _FORMATS[suffix], *asked]
    if use == "compare" and len(words) != 2:
        raise ConfigError(
            f"two faces are compared, and this names {len(words)}", "two files, a blank between"
        )
    if not words:
        raise ConfigError("nothing is named to embed", "files or folders of aligned faces")
    kept = ["-o", f"{run.name}.npz"] if use == "embed" else []
    return [use, run.id, *words, *kept, *asked]


_QUESTIONS = {
    "export": "The new file; its ending is the format: .onnx, .safetensors or .ts.",
    "embed": "Aligned faces, or folders of them, with blanks between.",
    "compare": "Two aligned faces, with a blank between.",
}


def _ask(screen: ConsoleScreen, run: Run, which: str, use: str) -> None:
    """Ask for files, then run the command in a box."""

    def answer(text: object) -> None:
        if isinstance(text, str) and text:
            _run(screen, lambda: command(run, which, use, text))

    screen.app.push_screen(Ask(f"{use} {run.name}", _QUESTIONS[use]), answer)


def _run(screen: ConsoleScreen, words: Callable[[], list[str]]) -> None:
    try:
        run_command(screen, words(), ["--runs-dir", str(screen.console_app.root)])
    except ArctermError as error:
        screen.console_app.show_error(error)
