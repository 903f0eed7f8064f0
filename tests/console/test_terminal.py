"""Where the console refuses, and where it draws in ASCII."""

from __future__ import annotations

import io
import sys

import pytest
from rich.segment import Segment
from textual.color import Color

from arcterm.console import terminal
from arcterm.console.app import run_console
from arcterm.errors import ArctermError


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_pipe_is_refused_with_the_next_step(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(ArctermError) as refused:
        run_console(tmp_path, None)
    assert "arcterm runs" in refused.value.hint
    assert "arcterm attach --plain" in refused.value.hint


def test_a_dumb_terminal_is_refused(tmp_path, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, Tty())
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(ArctermError, match="TERM=dumb"):
        run_console(tmp_path, None)


def test_an_unknown_run_is_told_before_the_screen_is_taken(tmp_path, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, Tty())
    monkeypatch.setenv("TERM", "xterm-256color")
    with pytest.raises(ArctermError, match="there is no run 'nope'"):
        run_console(tmp_path, "nope")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ARCTERM_ASCII": "1", "LANG": "C.UTF-8"}, True),
        ({"ARCTERM_ASCII": "0", "LC_ALL": "C"}, False),
        ({"LC_ALL": "C"}, True),
        ({"LANG": "en_GB.UTF-8"}, False),
    ],
)
def test_ascii_by_wish_or_by_locale(monkeypatch, environment, expected):
    for name in ("ARCTERM_ASCII", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: "UTF-8")
    assert terminal.ascii_only() is expected


def test_the_filter_keeps_every_width():
    text = "─ ▶ running · 3 × 5 … ≤ é ⠿ 好"
    [segment] = terminal.AsciiFilter().apply([Segment(text)], Color(0, 0, 0))
    assert segment.text.isascii()
    assert len(segment.text) == len(text) + 1  # the last character is two cells wide
