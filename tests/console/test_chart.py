"""The chart renderer, against what a loop over all points says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from arcterm.pictures.ticks import label, log_ticks, ticks
from arcterm.show.chart import Series, Smoother, render, smooth, stepwise
from arcterm.show.chart.axes import axes
from arcterm.show.chart.cells import bitmap, trace
from arcterm.show.chart.columns import columns, join
from tests.calls import calls


def line(y, x=None, **kwargs):
    y = np.asarray(y, np.float64)
    x = np.arange(len(y), dtype=np.float64) if x is None else np.asarray(x, np.float64)
    return Series(x=x, y=y, style=1, **kwargs)


def text(rows):
    return ["".join(part for part, _ in row) for row in rows]


def brute(x, y, x0, x1, count):
    """(low, high, first, last) per column, point by point."""
    edges = np.linspace(x0, x1, count + 1)
    found = [[] for _ in range(count)]
    for a, b in zip(x, y, strict=True):
        if x0 <= a <= x1 and math.isfinite(b):
            column = max(i for i in range(count) if edges[i] <= a)
            found[column].append(b)
    pick = lambda f: np.array([f(c) if c else np.nan for c in found])  # noqa: E731
    return pick(min), pick(max), pick(lambda c: c[0]), pick(lambda c: c[-1])


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("n", [1, 5, 60, 1000])
def test_columns_equal_brute_force(n, count):
    rng = np.random.default_rng(n * 100 + count)
    x = np.cumsum(rng.integers(1, 4, n)).astype(float)
    y = rng.normal(size=n)
    y[rng.random(n) < 0.1] = np.nan
    y[rng.random(n) < 0.05] = np.inf
    x0, x1 = float(x[0]), float(max(x[-1], x[0] + 1))
    if n > 100:  # a part of the steps
        x0, x1 = x[200], x[-200]
    got = columns(x, y, x0, x1, count)
    for ours, theirs in zip(
        (got.low, got.high, got.first, got.last), brute(x, y, x0, x1, count), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_gap_is_not_bridged_and_an_empty_column_is():
    y = np.array([1.0, 1.0, np.nan, 3.0, 3.0])
    with_gap = columns(np.array([0.0, 1, 4, 8, 9]), y, 0, 10, 10)
    low, _ = join(with_gap)
    assert np.isnan(low[2:8]).all()
    without = columns(np.array([0.0, 1, 8, 9]), y[np.isfinite(y)], 0, 10, 10)
    low, high = join(without)
    assert not np.isnan(low[:10]).any()
    assert 1 < low[4] < high[4] < 3


def test_a_spike_survives_a_hundred_thousand_points():
    y = np.ones(100_000)
    y[54_321] = 50.0
    layout = axes([line(y)], (80, 14), None, False, "braille")
    dots = bitmap(*trace(line(y), layout, "braille"), layout, "braille")
    spike = np.flatnonzero(dots[0])
    assert len(spike) == 1
    assert spike[0] == int(54_321 / 99_999 * dots.shape[1])
    assert dots[:, spike[0]].all()


@pytest.mark.parametrize("mode", ["braille", "ascii"])
@pytest.mark.parametrize("size", [(16, 4), (52, 10), (200, 40)])
def test_every_row_is_as_wide_as_asked(mode, size):
    rows = render([line(np.sin(np.arange(500) / 30))], size, mode)
    assert len(rows) == size[1]
    assert {len(row) for row in text(rows)} == {size[0]}


def test_ascii_mode_is_ascii():
    rows = render([line(np.arange(50.0), mark="*"), line(np.arange(50.0)[::-1], mark="o")], (60, 12), "ascii")
    joined = "".join(text(rows))
    assert joined.isascii()
    assert "*" in joined
    assert "o" in joined


@pytest.mark.parametrize(
    "y",
    [[], [np.nan, np.nan], [np.inf], [0.0, -1.0]],
)
def test_nothing_to_draw_says_so(y):
    rows = render([line(y)], (40, 8), log=True, empty="no points yet")
    assert any("no points yet" in row for row in text(rows))


@pytest.mark.parametrize("y", [[3.0], [2.0, 2.0, 2.0], [0.0, 0.0], [1e-9, 2e-9], [1e300, -1e300]])
def test_flat_and_extreme_values_are_drawn(y):
    rows = render([line(y)], (40, 8))
    assert any(char > "⠀" for row in text(rows) for char in row)


def test_no_size_fails():
    for width in range(0, 24):
        for height in range(0, 7):
            render([line([1.0, 5.0, 2.0])], (width, height), empty="a long text that does not fit")


def test_log_y_puts_equal_ratios_at_equal_distances():
    rows = text(render([line(10.0 ** np.linspace(0, 4, 400))], (60, 18), log=True))
    labelled = {row.split("┤")[0].strip(): i for i, row in enumerate(rows) if "┤" in row}
    assert {"1", "10", "100", "1e+03", "1e+04"} <= labelled.keys()
    places = [labelled[k] for k in ("1", "10", "100", "1e+03", "1e+04")]
    assert max(np.diff(places)) - min(np.diff(places)) <= 1


def test_log_y_leaves_out_what_has_no_logarithm():
    y = np.array([1.0, 0.0, -5.0, 100.0])
    layout_rows = text(render([line(y)], (40, 8), log=True))
    assert any("100" in row for row in layout_rows)


def test_the_later_series_is_seen_where_two_meet():
    y = np.linspace(0, 1, 50)
    first, second = Series(x=y, y=y, style=1), Series(x=y, y=y, style=2)
    styles = {style for row in render([first, second], (40, 8)) for _, style in row}
    assert styles == {0, 2}


def test_marks_stand_on_samples():
    rows = text(render([line([1.0, 2.0, 3.0], mark="x", samples=True)], (40, 8), marks=True))
    assert sum(row.count("x") for row in rows) == 3


def test_smoothing_equals_the_recursion_and_skips_gaps():
    rng = np.random.default_rng(0)
    y = rng.normal(size=1000)
    y[100:120] = np.nan
    y[500] = np.inf
    got, average, seen = smooth(y, 0.9), 0.0, 0
    for value, ours in zip(y, got, strict=True):
        if not math.isfinite(value):
            assert math.isnan(ours)
            continue
        seen += 1
        average = 0.9 * average + 0.1 * value
        assert ours == pytest.approx(average / (1 - 0.9**seen), rel=1e-9, abs=1e-12)


def test_smoothing_goes_on_where_it_was():
    y = np.random.default_rng(1).normal(size=700)
    y[40:50] = np.nan
    growing = Smoother(0.99)
    for count in (1, 2, 130, 131, 400, 700):
        part = growing.extend(y[:count])
    np.testing.assert_allclose(part, smooth(y, 0.99))


@pytest.mark.parametrize("keep", [0, 1, 127, 128, 300, 699, 700])
@pytest.mark.parametrize("count", [300, 700, 900])
def test_smoothing_of_a_series_that_was_cut_is_that_of_what_is_left(keep, count):
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=700), rng.normal(size=900)
    first[40:50] = np.nan
    second[:keep] = first[:keep]
    smoother = Smoother(0.9)
    smoother.extend(first)
    np.testing.assert_allclose(smoother.extend(second[:count]), smooth(second[:count], 0.9))


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant():
    assert smooth(np.full(300, 7.0), 0.99) == pytest.approx(7.0)


def test_a_learning_rate_is_stepwise_and_a_loss_is_not():
    assert stepwise(np.repeat([0.1, 0.01, 0.001], 100))
    assert not stepwise(np.random.default_rng(0).normal(size=100))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (4.2, 25.6), (0, 180_000), (99.1, 99.7), (-3, 3)])
def test_ticks_are_round_inside_and_few(low, high):
    found = ticks(low, high, 4)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in found)
    names = [label(t, found[1] - found[0]) for t in found]
    assert len(set(names)) == len(names)


def test_a_narrow_log_axis_is_labelled_at_its_ends():
    assert log_ticks(math.log10(4.1), math.log10(4.4), 4) == [math.log10(4.1), math.log10(4.4)]


def test_columns_cost_the_same_for_many_points():
    """A redraw makes few more calls for 100,000 points, smoothed too, than for 2,000: NumPy does it."""

    def drawn(points):
        y = np.random.default_rng(0).normal(size=points)
        return calls(lambda: render([line(y), line(smooth(y, 0.9))], (80, 14)))

    assert drawn(100_000) < 2 * drawn(2_000)
