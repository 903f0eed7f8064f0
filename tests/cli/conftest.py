"""The command line in this process: a plan is made of what is known, without trying steps in another."""

from __future__ import annotations

import pytest

from arcterm.launch.estimate import seconds
from arcterm.launch.estimate.seconds import Duration


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    monkeypatch.setattr(seconds, "probe", lambda config, classes, crude: Duration(crude))
