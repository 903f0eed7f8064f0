"""The command in an empty folder, and recipes of one's own in another."""

from __future__ import annotations

import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm.launch.estimate import assess, seconds
from arcterm.launch.estimate.seconds import Duration

from ..inprocess import in_process


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of the user's own recipes."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("ARCTERM_RECIPES", str(folder))
    return folder


@pytest.fixture
def arcterm(own, monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr); the data are a million faces, never looked at."""
    facts = DatasetFacts(images=1_000_000, classes=10_000, image_size=(112, 112), fingerprint="x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    monkeypatch.setattr("arcterm.launch.devices.torch_has_cuda", lambda: False)
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", lambda *_: facts)
    look = assess.assess
    monkeypatch.setattr(assess, "assess", lambda *case: look(*case[:-1], "quick"))
    monkeypatch.setattr(seconds, "probe", lambda config, classes, crude: Duration(crude))
    return in_process(monkeypatch, capsys)
