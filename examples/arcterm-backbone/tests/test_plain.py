"""The checks of `arcterm plugins check plain`, one test each."""

import pytest
from arcterm_registry.conformance import checks


@pytest.mark.parametrize("check", checks("backbone", "plain"), ids=str)
def test_conformance(check):
    check()
