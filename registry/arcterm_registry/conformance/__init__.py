"""The checks behind ``arcterm plugins check``, which a plug-in's own tests can run too:

    import pytest
    from arcterm_registry.conformance import checks

    @pytest.mark.parametrize("check", checks("backbone", "plain"), ids=str)
    def test_conformance(check):
        check()

A check that does not hold raises an AssertionError that says what is wrong and what to do. For a data set the
test gives the directory: ``check(path=directory)``. `check` runs them all and yields each `Finding`.
"""

from __future__ import annotations

from arcterm_registry.conformance.findings import Check, ConformanceWarning, Finding
from arcterm_registry.conformance.suite import check, checks
from arcterm_registry.discover import CHECKED

__all__ = ["CHECKED", "Check", "ConformanceWarning", "Finding", "check", "checks"]
