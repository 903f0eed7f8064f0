"""The command line in this process, for tests that need no other."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from arcterm.cli import main


def in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """``run(*words)`` → (exit code, stdout, stderr) of ``arcterm …``; a traceback fails the test."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["arcterm", *words])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run
