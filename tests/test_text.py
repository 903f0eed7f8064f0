"""Names and shares in words."""

from __future__ import annotations

import pytest

from arcterm.text import first_of, percent


@pytest.mark.parametrize(
    ("names", "between", "said"),
    [
        ([], ", ", ""),
        (["a", "b"], ", ", "a, b"),
        (["a", "b", "c"], ", ", "a, b and 1 more"),
        (["a", "b", *"c" * 2000], "; ", "a; b; and 2,000 more"),
        (["a", "b", "c"], "\n  ", "a\n  b\n  and 1 more"),
    ],
)
def test_the_first_names_and_how_many_more(names, between, said):
    assert first_of(names, 2, between) == said


def test_a_share_in_percent():
    assert [percent(share) for share in (0.93254, 1, None)] == ["93.25 %", "100.00 %", "–"]
