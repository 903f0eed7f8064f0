"""Plots of plain arrays: gaps, spikes, axes, signs, and the same points as CSV."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from arcterm.pictures import curves
from arcterm.pictures.plot import Plot, Trace
from arcterm.show.places import elapsed, epochs_at

SVG = "{http://www.w3.org/2000/svg}"


def plot(*traces: Trace, **changes: object) -> Plot:
    return Plot(**{"title": "loss", "x": "step", "y": "loss", "traces": traces} | changes)  # type: ignore[arg-type]


def trace(y, name="run", **changes) -> Trace:
    y = np.asarray(y, np.float64)
    return Trace(name=name, x=np.arange(1.0, len(y) + 1), y=y, **changes)


def lines(drawn: Plot) -> list[list[tuple[float, float]]]:
    found = ElementTree.fromstring(curves.svg(drawn)).iter(f"{SVG}polyline")
    ends = [line.attrib["points"].split() for line in found]
    return [[(float(x), float(y)) for x, y in (end.split(",") for end in each)] for each in ends]


def texts(drawn: Plot) -> list[str]:
    return ["".join(n.itertext()) for n in ElementTree.fromstring(curves.svg(drawn)).iter(f"{SVG}text")]


def test_a_value_that_is_no_number_is_a_gap():
    one, two = lines(plot(trace([3, 2, np.nan, 1, 0.5])))
    assert len(one) == len(two) == 2 and one[-1][0] < two[0][0]


def test_a_million_points_keep_their_spikes_and_their_gaps():
    y = np.full(1_000_000, 5.0)
    y[123_456] = 90.0
    y[500_000:600_000] = np.nan
    one, two = lines(plot(trace(y)))
    assert len(one) + len(two) < 3000
    heights = [height for _, height in one]
    assert min(heights) < 60 and heights.count(min(heights)) == 1
    assert two[0][0] - one[-1][0] > 50


def test_values_that_are_no_number_everywhere_do_not_make_a_line_each():
    y = np.ones(100_000)
    y[::2] = np.nan
    assert len(lines(plot(trace(y)))) <= 601


def test_a_logarithmic_y_axis_leaves_out_what_is_not_above_zero():
    drawn = plot(trace([100.0, 10.0, 1.0, 0.0, -1.0]), log_y=True)
    ((_, (a, b, c)),) = [(None, [y for _, y in line]) for line in lines(drawn)]
    assert abs((c - b) - (b - a)) <= 0.1 + 1e-9
    assert {"100", "10", "1"} <= set(texts(drawn))


def test_steps_are_whole_and_zero_is_zero():
    found = texts(plot(trace([0.0, 0.0])))
    assert {"1", "2", "0.0"} & set(found) and not {"1.5", "0e+00", "0.0e+00"} & set(found)


def test_lines_differ_in_their_signs_and_a_faint_one_has_no_name():
    drawn = plot(
        trace([1, 2], "raw", faint=True, colour=0), trace([1, 2], "a"), trace([2, 1], "b", dots=True)
    )
    assert "raw" not in texts(drawn) and {"a", "b"} <= set(texts(drawn))
    signs = [
        n.attrib["d"]
        for n in ElementTree.fromstring(curves.svg(drawn)).iter(f"{SVG}path")
        if "fill" in n.attrib
    ]
    assert len({sign.partition("m")[2].partition("M")[0] for sign in signs if "m" in sign}) == 2


def test_only_the_span_is_drawn_and_guides_are_in_the_frame():
    (line,) = lines(plot(trace(range(100)), span=(10, 20), guides=[50.0]))
    assert len(line) == 11 and line[0][0] == 64
    assert min(y for _, y in line) > 200  # the guide takes room above


def test_the_points_as_csv():
    drawn = plot(trace([0.5, np.nan], 'a,"b"'), trace([2.0], "c"), span=(1, 1))
    assert curves.csv(drawn) == 'line,step,loss\n"a,""b""",1,0.5\nc,1,2\n'
    assert "nan" in curves.csv(plot(trace([0.5, np.nan])))


def test_places_on_an_axis_of_epochs_or_of_time():
    steps = np.array([0.0, 1, 10, 11, 15, 20])
    assert epochs_at(steps, [(1, 1), (11, 2)], 15).tolist() == [0, 0.1, 1, 1.1, 1.5, 2]
    assert epochs_at(steps[:3], [(1, 1)], 10, planned=40).tolist() == [0, 0.025, 0.25]
    assert epochs_at(steps[:3], [(1, 1)], 10).tolist() == [0, 0.1, 1]  # nothing was planned
    assert elapsed([5.0, 7.0, 6.0, 9.0]).tolist() == [0, 2, 2, 4] and not len(elapsed([]))
