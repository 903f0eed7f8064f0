"""The command line in this process, for tests that need no other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from arcterm.cli import main


def enter(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run ``arcterm …``; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["arcterm", *words])
    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0


def in_process(
    monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[Any]
) -> Callable[..., tuple[int, str, str]]:
    """``run(*words)`` → (exit code, stdout, stderr) of ``arcterm …``; a traceback fails the test."""

    def run(*words: str) -> tuple[int, str, str]:
        capture.readouterr()
        code = enter(monkeypatch, *words)
        out, err = capture.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run
