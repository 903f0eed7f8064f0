"""Text of strangers."""

from __future__ import annotations

import unicodedata

import pytest

from arcterm.text import clean

HOSTILE = (
    "a\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07\x1b]8;;http://x\x1b\\\x1bPq\x1b\\"
    "\x1bc\x07\x08\x00\r\x7f\x9b31m\x9d0;t\x9c\x85\u202eevil\u202c\u2066\u2069\u200e\u200f\u061c"
    "\u2028\u2029\udcff\ud800z"
)


@pytest.mark.parametrize("number", [*range(0x100), *range(0x2000, 0x2070), 0x61C, 0xD800, 0xDCFF, 0xDFFF])
def test_no_sign_that_acts_on_a_terminal_is_left(number):
    left = clean(f"a{chr(number)}b")
    assert left.startswith("a")
    for sign in left:
        acts = unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") and sign != "\t"
        assert not acts and not unicodedata.bidirectional(sign).startswith(("LR", "RL", "PD", "FS"))


def test_what_is_left_is_one_line_that_can_be_read():
    left = clean(HOSTILE)
    assert left.startswith("ared") and left.endswith("z") and "evil" in left
    assert len(left.splitlines()) == 1
    left.encode("utf-8")
    assert clean("two\nlines\u2028here\tand é 張 😀") == "two lines here\tand é 張 😀"
