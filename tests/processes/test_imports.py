"""What is imported for good is left out of collections."""

from __future__ import annotations

import gc

import pytest

from arcterm.processes.startup import imports


def test_nothing_is_collected_meanwhile_and_what_was_made_is_left_out_later():
    with imports.lasting():
        assert not gc.isenabled()
        made = [[] for _ in range(100)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)
    assert not any(found is made for found in gc.get_objects())


def test_an_import_that_fails_leaves_the_collector_at_work():
    with pytest.raises(ImportError), imports.lasting():
        raise ImportError("no such library")
    assert gc.isenabled()
