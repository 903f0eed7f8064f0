"""What stands in the cells of a chart and on its axes, against drawings by hand and names of characters."""

from __future__ import annotations

import itertools
import re
import unicodedata

import numpy as np
import pytest

from arcterm.pictures.curves import svg
from arcterm.pictures.plot import Plot, Trace
from arcterm.pictures.ticks import time_label, time_ticks, whole_ticks
from arcterm.show.chart import HorizontalLine, Pyramid, Series, draw, render


def line(y, x=None, style=1, **kwargs):
    y = np.asarray(y, np.float64)
    x = np.arange(len(y), dtype=np.float64) if x is None else np.asarray(x, np.float64)
    return Series(x=x, y=y, style=style, **kwargs)


def text(rows):
    return ["".join(part for part, _ in row) for row in rows]


def dots(drawn):
    """Which dots of the plot are set, by what Unicode calls the characters: (rows, columns)."""
    seen = []
    for codes in drawn.codes:
        cells = [_dots_of(chr(code), drawn.mode) for code in codes]
        seen += [list(itertools.chain.from_iterable(row)) for row in zip(*cells, strict=True)]
    return np.array(seen)


_BRAILLE = {
    "1": (0, 0),
    "2": (1, 0),
    "3": (2, 0),
    "4": (0, 1),
    "5": (1, 1),
    "6": (2, 1),
    "7": (3, 0),
    "8": (3, 1),
}
_NAMED = {"UPPER HALF BLOCK": "UPPER LEFT AND UPPER RIGHT", "LOWER HALF BLOCK": "LOWER LEFT AND LOWER RIGHT"}
_NAMED |= {"LEFT HALF BLOCK": "UPPER LEFT AND LOWER LEFT", "RIGHT HALF BLOCK": "UPPER RIGHT AND LOWER RIGHT"}
_NAMED |= {"FULL BLOCK": "UPPER LEFT AND UPPER RIGHT AND LOWER LEFT AND LOWER RIGHT", "SPACE": ""}


def _dots_of(char, mode):
    name = unicodedata.name(char)
    if mode == "braille":
        cell = [[False] * 2 for _ in range(4)]
        for number in re.sub(r"\D", "", name.rpartition("-")[2]):
            cell[_BRAILLE[number][0]][_BRAILLE[number][1]] = True
        return cell
    name = _NAMED.get(name, name)
    return [[f"{y} {x}" in name for x in ("LEFT", "RIGHT")] for y in ("UPPER", "LOWER")]


WAVES = [np.sin(np.arange(300) / 20), np.cos(np.arange(300) / 15) * 0.8, np.linspace(-1, 1, 300)]


@pytest.mark.parametrize("mode", ["braille", "blocks"])
def test_dots_of_curves_that_meet_all_stay(mode):
    """The dots of several curves are those of each alone, put together; the later one gives the colour."""
    frame = line([-1.0, 1.0], [0, 299], style=0)  # the same range for all
    alone = [draw([frame, line(y)], (60, 12), mode) for y in WAVES]
    together = draw([frame, *(line(y, style=i + 1) for i, y in enumerate(WAVES))], (60, 12), mode)
    assert (dots(together) == np.logical_or.reduce([dots(one) for one in alone])).all()
    last = dots(draw([line(WAVES[2]), frame], (60, 12), mode))
    rows, columns = together.codes.shape
    hit = last.reshape(rows, -1, columns, 2).any((1, 3))
    assert (together.styles[hit] == 3).mean() > 0.9  # but for cells of the frame's own line


@pytest.mark.parametrize("mode", ["braille", "blocks"])
def test_dots_are_where_the_points_are(mode):
    chance = np.random.default_rng(3)
    x, y = np.arange(40.0), chance.normal(size=40)
    drawn = draw([line(y, x)], (70, 14), mode)
    found = dots(drawn)
    height, width = found.shape
    for a, b in zip(x, y, strict=True):
        column = min(int(a / 39 * width), width - 1)
        row = round((y.max() - b) / (y.max() - y.min()) * (height - 1))
        assert found[row, column]


def test_a_chart_is_as_drawn_by_hand():
    rows = text(render([line([0.0, 2.0, 4.0, 2.0, 0.0], mark="*")], (26, 7), "ascii", scale="step"))
    assert rows == [
        " 4+         *****         ",
        "  |       ***   ***       ",
        " 2+    ****       ****    ",
        "  | ****             **** ",
        " 0+**                   **",
        "  +-----------+-----------",
        "   0          2          4",
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(38, 8), (80, 20), (200, 44)])
def test_the_lowest_and_highest_value_and_the_first_and_last_step_are_labelled(seed, size):
    chance = np.random.default_rng(seed)
    x = np.arange(1, 1 + chance.integers(2, 5000)).astype(float)
    y = chance.normal(10 ** chance.uniform(-3, 4), 10 ** chance.uniform(-3, 2), len(x))
    rows = text(render([line(y, x)], size, scale="step"))
    top, bottom = rows[0].split("┤")[0], rows[-3].split("┤")[0]
    width = y.max() - y.min()
    assert number(top) == pytest.approx(y.max(), abs=max(width / 20, abs(y.max()) * 1e-3))
    assert number(bottom) == pytest.approx(y.min(), abs=max(width / 20, abs(y.min()) * 1e-3))
    labels = rows[-1].split()
    assert number(labels[0]) == 1
    assert number(labels[-1]) == pytest.approx(x[-1], rel=1e-3)


def number(name):
    name = name.strip()
    return float(name.rstrip("kM")) * {"k": 1e3, "M": 1e6}.get(name[-1], 1)


def test_no_label_names_half_a_step():
    for last in range(1, 12):
        rows = text(render([line(np.arange(last + 1.0), np.arange(1.0, last + 2))], (90, 8), scale="step"))
        assert "." not in rows[-1]
    assert whole_ticks(1, 3, 20) == [1, 2, 3]


def test_nothing_is_labelled_as_nought_with_an_exponent():
    for y in ([0.0, 1e-4], [0.0, 0.1], [0.0, 0.0], [-1.0, 1.0]):
        rows = text(render([line(y)], (60, 12)))
        labels = [row.split("┤")[0].strip() for row in rows if "┤" in row]
        assert not any("e+00" in label or "0e0" in label or label == "0.0" for label in labels)
    assert any(row.split("┤")[0].strip() == "0" for row in text(render([line([-1.0, 1.0])], (60, 13))))


def test_a_gap_in_the_values_is_a_gap_in_the_line():
    y = np.ones(100)
    y[40:60] = np.nan
    drawn = draw([line(y)], (60, 8))
    filled = dots(drawn).any(0)
    inside = len(filled)
    assert filled[: int(0.39 * inside)].all()
    assert not filled[int(0.42 * inside) : int(0.59 * inside)].any()
    assert filled[int(0.62 * inside) :].all()


def test_the_crosshair_is_where_its_x_is_and_covers_nothing():
    drawn = draw([line(np.linspace(0, 1, 101))], (60, 10))
    column = drawn.axes.cell(50.0)
    assert column == drawn.axes.width // 2
    before, after = text(drawn.rows()), text(drawn.rows(50.0))
    place = drawn.axes.left + column
    for old, new in zip(before[:-2], after[:-2], strict=True):
        assert new[place] == ("│" if old[place] == " " else old[place])
        assert new[:place] + new[place + 1 :] == old[:place] + old[place + 1 :]
    assert after[-2][place] == "┴"
    assert drawn.axes.cell(101.0) is None
    assert text(drawn.rows(500.0)) == before
    assert abs(drawn.axes.x_at(column) - 50) <= 100 / drawn.axes.width


def test_a_guide_is_a_line_at_its_value_behind_the_curves():
    drawn = draw([line([0.0, 4.0])], (50, 11), guides=[HorizontalLine(y=1.0, style=5)])
    row = round((4 - 1) / 4 * (drawn.axes.height - 1))
    assert (drawn.styles[row] == 5).sum() > drawn.axes.width / 2
    assert (drawn.styles == 5).any(1).sum() == 1
    logarithmic = draw([line([1.0, 100.0])], (50, 11), log=True, guides=[HorizontalLine(y=10.0, style=5)])
    assert (logarithmic.styles[4] == 5).any()
    outside = draw([line([0.0, 4.0])], (50, 11), guides=[HorizontalLine(y=9.0, style=5)])
    assert not (outside.styles == 5).any()


def test_lines_that_are_signed_differ_without_colours():
    signed = [line(y, style=i + 1, mark="o+x"[i], signed=True) for i, y in enumerate(WAVES)]
    for mode in ("braille", "blocks", "ascii"):
        joined = "".join(text(render(signed, (80, 14), mode)))
        assert all(mark in joined for mark in "o+x")


@pytest.mark.parametrize(("mode", "signs"), [("braille", "▾▴"), ("blocks", "▾▴"), ("ascii", "v^")])
@pytest.mark.parametrize("log", [False, True])
def test_a_sign_points_at_the_best_value(mode, signs, log):
    for other in (150.0, 50.0):  # there is room above the best value, or only below
        best = line([90.0, 99.0, 95.0], [0, 50, 100], samples=True, mark="o", best=50.0)
        drawn = draw([best, line([other], [0.0])], (60, 32), mode, log=log)
        (row,) = drawn.axes.row(np.log10([99.0]) if log else np.array([99.0]), drawn.axes.height)
        column = drawn.axes.cell(50.0)
        beside = [chr(drawn.codes[at, column]) for at in (row - 1, row + 1) if at >= 0]
        assert beside.count(signs[0]) + beside.count(signs[1]) == 1
        assert (other == 150.0) or beside == [signs[1]]
        assert drawn.codes[row, column] == ord("o")


def test_an_axis_of_percent_ends_at_a_hundred():
    for value, high in ((99.5, 100.0), (50.0, 55.0), (100.0, 100.0), (101.0, 101.0)):
        assert draw([line([value])], (60, 12), most=100.0).axes.high == pytest.approx(high)
    assert draw([line([99.5])], (60, 12), log=True, most=100.0).axes.high == pytest.approx(2)
    one = Trace(name="a", x=np.array([1.0]), y=np.array([99.5]), dots=True)
    names = [
        float(name)
        for name in re.findall(
            r'end"[^>]*>([\d.]+)<', svg(Plot(title="", x="", y="", traces=[one], most=100.0))
        )
    ]
    assert names and max(names) == 100


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0, "0"),
        (40, "40s"),
        (59.6, "1m"),
        (90, "1m30"),
        (720, "12m"),
        (3600, "1h"),
        (5400, "1h30"),
        (90_000, "1d1h"),
    ],
)
def test_times_are_labelled_in_two_units(seconds, label):
    assert time_label(seconds) == label


@pytest.mark.parametrize("end", [3, 50, 500, 5000, 50_000, 500_000, 5_000_000])
def test_ticks_of_times_are_round_and_differ(end):
    found = time_ticks(0, end, 6)
    names = [time_label(t) for t in found]
    assert 2 <= len(found) <= 7
    assert len(set(names)) == len(names)
    assert all(0 <= t <= end for t in found)


def many(count, holes):
    chance = np.random.default_rng(count)
    y = np.cumsum(chance.normal(size=count)).astype(np.float32)
    y[chance.integers(0, count, 40)] += 500 * chance.choice([-1, 1], 40).astype(np.float32)  # spikes
    if holes:
        y[count // 3 : count // 3 + count // 10] = np.nan
        y[chance.integers(0, count, 30)] = np.nan
    return np.cumsum(chance.integers(1, 3, count)).astype(float), y


@pytest.mark.parametrize("mode", ["braille", "blocks", "ascii"])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("part", [None, (0.0, 1.0), (0.31, 0.37), (0.5, 0.5004)])
def test_a_pyramid_draws_what_all_points_draw(mode, holes, part):
    x, y = many(300_000, holes)
    pyramid = Pyramid()
    for count in (1, 50, 64, 1000, 150_000, len(y)):
        pyramid.extend(y[:count])
    span = None if part is None else (x[0] + part[0] * (x[-1] - x[0]), x[0] + part[1] * (x[-1] - x[0]))
    plain, quick = line(y, x), Series(x=x, y=y, style=1, pyramid=pyramid)
    size = (70, 16)
    assert text(render([quick], size, mode, span=span)) == text(render([plain], size, mode, span=span))
    assert len(quick.thinned(None, 140).x) < len(x) / 3


def test_a_pyramid_of_a_series_that_was_cut_is_made_anew():
    x, y = many(100_000, holes=False)
    pyramid = Pyramid()
    pyramid.extend(y)
    other = np.concatenate([y[:40_000], -y[40_000:80_000]])
    pyramid.extend(other)
    quick = Series(x=x[:80_000], y=other, style=1, pyramid=pyramid)
    assert text(render([quick], (60, 12))) == text(render([line(other, x[:80_000])], (60, 12)))
