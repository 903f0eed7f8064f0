"""The checks of `arcterm plugins check arrays --path DIR`, one test each."""

import numpy as np
import pytest
from arcterm_registry.conformance import checks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    np.savez(
        place / "faces.npz",
        images=random.integers(0, 256, (12, 112, 112, 3), dtype=np.uint8),
        labels=np.arange(12) % 4,
        pairs=random.integers(0, 256, (20, 2, 112, 112, 3), dtype=np.uint8),
        same=np.arange(20) % 2 == 0,
    )
    return place


@pytest.mark.parametrize("check", checks("dataset", "arrays"), ids=str)
def test_conformance(check, folder):
    check(path=str(folder))
