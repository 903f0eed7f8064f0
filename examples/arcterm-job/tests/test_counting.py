"""The checks of `arcterm plugins check count-identities`, one test each."""

import pytest
from arcterm_registry.conformance import checks


@pytest.mark.parametrize("check", checks("job", "count-identities"), ids=str)
def test_conformance(check):
    check()
