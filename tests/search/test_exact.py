"""The canonical score depends on two rows alone, and a float32 matrix product lies within the bound of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from arcterm.search.exact import UNIT, bound, scores

WIDTHS = [1, 2, 3, 7, 64, 127, 512, 1024]


def unit(count: int, width: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 2, 3, 63, 129, 1500])
def test_the_score_has_the_same_bits_wherever_the_rows_stand(width, count):
    a, b = unit(count, width), unit(count, width, 1)
    found = scores(a, b)
    alone = np.concatenate([scores(a[[i]], b[[i]]) for i in range(count)])
    assert found.tobytes() == alone.tobytes()
    order = np.random.default_rng(2).permutation(count)
    assert found[order].tobytes() == scores(a[order], b[order]).tobytes()
    assert found.tobytes() == scores(b, a).tobytes()


def test_the_layout_of_the_arrays_does_not_matter():
    a, b = unit(40, 96), unit(40, 96, 1)
    apart = np.zeros((80, 200), np.float32)
    apart[::2, 3:99] = a
    assert scores(apart[::2, 3:99], np.asfortranarray(b)).tobytes() == scores(a, b).tobytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_score_is_the_exact_sum_but_for_float64_rounding(width):
    a, b = unit(50, width), unit(50, width, 1)
    exact = [
        math.fsum(float(x) * float(y) for x, y in zip(*rows, strict=True)) for rows in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(scores(a, b), exact, rtol=0, atol=1e-15 * max(1, math.log2(width)))


def test_no_rows_and_no_columns():
    assert scores(unit(0, 5), unit(0, 5)).shape == (0,)
    assert scores(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_float32_product_lies_within_the_bound(width):
    """Also where all terms have one sign, so that rounding adds up, and the norms are at their limit."""
    long = np.float32(1 + 0.99 * UNIT)
    mixed = unit(60, width) * long, unit(80, width, 1) * long
    for a, b in (mixed, (abs(mixed[0]), abs(mixed[1]))):
        product = torch.from_numpy(a).mm(torch.from_numpy(b).T).numpy()
        exact = scores(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))).reshape(product.shape)
        assert abs(product - exact).max() <= bound(width)
        one_by_one = np.float32(0)
        for x, y in zip(a[0], b[0], strict=True):
            one_by_one = np.float32(one_by_one + x * y)
        assert abs(one_by_one - exact[0, 0]) <= bound(width)


def test_the_bound_is_small_enough_to_be_of_use():
    assert 3e-5 < bound(512) < 3.2e-5


def test_a_product_in_bfloat16_lies_beyond_it():
    a, b = unit(60, 512), unit(80, 512, 1)
    product = (torch.from_numpy(a).bfloat16() @ torch.from_numpy(b).bfloat16().T).float().numpy()
    exact = scores(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))).reshape(product.shape)
    assert abs(product - exact).max() > bound(512)
