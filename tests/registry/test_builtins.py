"""What the plug-ins that come with arcterm declare is what their factories take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from arcterm_registry import Dataset, Declaration, Detector, get, names
from arcterm_registry.declare import resolve

DECLARED = [get(kind, name) for kind in ("backbone", "loss", "dataset", "detector") for name in names(kind)]
BUILT_IN = [declared for declared in DECLARED if declared.factory.startswith("arcterm.")]


def without_each(declared: Declaration) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option that has a default, with the defaults of all others."""
    defaults = {name: value for name, value in declared.settings({}).items() if value is not None}
    for name in defaults:
        yield name, {key: value for key, value in defaults.items() if key != name}


def refuses(function: Callable[..., Any], *paths: Path, name: str, others: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"missing 1 required .* argument: '{name}'"):
        function(*paths, **others)


@pytest.mark.parametrize("declared", BUILT_IN, ids=lambda declared: declared.factory)
def test_an_options_default_stands_in_its_declaration_alone(declared: Declaration) -> None:
    takes_path = isinstance(declared, Detector) or (isinstance(declared, Dataset) and declared.takes_path)
    paths = [Path("anywhere")] if takes_path else []
    for name, others in without_each(declared):
        refuses(resolve(declared.factory), *paths, name=name, others=others)
        if isinstance(declared, Dataset):
            refuses(resolve(declared.inspect), *paths, name=name, others=others)


def test_a_feeding_has_no_defaults_either() -> None:
    triplet = get("loss", "triplet")
    feeding = resolve(triplet.feeding)
    with pytest.raises(TypeError, match="'mining', 'images_per_identity', and 'bag'"):
        feeding()
    assert triplet.make_feeding(bag=60) == feeding(**triplet.settings({"bag": 60}))
