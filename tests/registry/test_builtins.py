"""What the plug-ins that come with arcterm declare is what their factories take."""

from __future__ import annotations

import pytest
from arcterm_registry import Declaration, get, names
from arcterm_registry.declare import resolve

DECLARED = [get(kind, name) for kind in ("backbone", "loss") for name in names(kind)]
BUILT_IN = [declared for declared in DECLARED if declared.factory.startswith("arcterm.")]


@pytest.mark.parametrize("declared", BUILT_IN, ids=lambda declared: declared.factory)
def test_an_options_default_stands_in_its_declaration_alone(declared: Declaration) -> None:
    defaults = {name: value for name, value in declared.settings({}).items() if value is not None}
    for name in defaults:
        with pytest.raises(TypeError, match=f"missing 1 required .* argument: '{name}'"):
            declared.load()(**{key: value for key, value in defaults.items() if key != name})


def test_a_feeding_has_no_defaults_either() -> None:
    triplet = get("loss", "triplet")
    feeding = resolve(triplet.feeding)
    with pytest.raises(TypeError, match="'mining', 'images_per_identity', and 'bag'"):
        feeding()
    assert triplet.make_feeding(bag=60) == feeding(**triplet.settings({"bag": 60}))
