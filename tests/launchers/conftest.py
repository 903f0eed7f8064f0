"""The farm, installed, and the command line beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm.launch.estimate import seconds
from arcterm.launch.estimate.seconds import Duration

from .farm import DECLARED, ENTRY_POINTS, Farm

FACTS = DatasetFacts(images=50_000, classes=10, image_size=(112, 112), fingerprint="f")


@pytest.fixture
def farm(distribution: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Farm]]:
    distribution("farmhouse", entry_points=ENTRY_POINTS, farmhouse=DECLARED)
    monkeypatch.setattr(seconds, "probe", lambda config, classes, crude: Duration(crude))
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", lambda *_: FACTS)
    for name in ("given", "calls", "problems"):
        monkeypatch.setattr(Farm, name, [])
    monkeypatch.setattr(Farm, "answers", {})
    monkeypatch.setattr(Farm, "does", staticmethod(lambda what: None))
    return Farm
