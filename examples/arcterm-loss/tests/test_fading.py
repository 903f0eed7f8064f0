"""The checks of `arcterm plugins check fading`, one test each."""

import pytest
from arcterm_registry.conformance import checks


@pytest.mark.parametrize("check", checks("loss", "fading"), ids=str)
def test_conformance(check):
    check()
