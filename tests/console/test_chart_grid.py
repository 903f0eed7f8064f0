"""The charts of a screen: one lens, keys and mouse, what is remembered and exported."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
from textual import events
from textual.app import App

from arcterm.console import remembered
from arcterm.console.app import Console
from arcterm.console.charts import kept
from arcterm.console.charts.chartkeys import FindChart
from arcterm.console.charts.curves import BAND, Curves
from arcterm.console.charts.export import ExportBox
from arcterm.console.charts.grid import ChartGrid
from arcterm.console.charts.lens import Lens
from arcterm.console.charts.panes import SHAPES, areas, fit
from arcterm.console.charts.view import lines, picture
from arcterm.show.chart import Series

SMALL = (80, 24)


# the lens


@pytest.mark.parametrize("about", [0.0, 10.0, 37.5, 100.0])
def test_what_is_zoomed_about_stays_where_it_is(about):
    whole = (0.0, 100.0)
    near = Lens().zoomed(0.25, about, whole)
    begin, end = near.visible(whole)
    assert end - begin == pytest.approx(25)
    assert (about - begin) / (end - begin) == pytest.approx(about / 100)
    assert near.zoomed(100, about, whole).span is None


def test_without_a_place_the_newest_stays_in_view_and_goes_on():
    near = Lens().zoomed(0.5, None, (0.0, 100.0))
    assert near.span == (50.0, math.inf)
    assert near.visible((0.0, 300.0)) == (50.0, 300.0)


def test_panning_stops_at_the_ends():
    near = Lens().zoomed(0.25, 50.0, (0.0, 100.0))
    assert near.panned(-0.5, (0.0, 100.0)).visible((0.0, 100.0)) == pytest.approx((25.0, 50.0))
    assert near.panned(-9, (0.0, 100.0)).visible((0.0, 100.0)) == pytest.approx((0.0, 25.0))
    assert near.panned(9, (0.0, 100.0)).span == (75.0, math.inf)
    assert Lens().panned(1, (0.0, 100.0)) == Lens()


def test_no_zoom_is_nearer_than_a_few_steps():
    lens = Lens()
    for _ in range(100):
        lens = lens.zoomed(0.5, 3.0, (1.0, 1000.0))
    begin, end = lens.visible((1.0, 1000.0))
    assert end - begin >= 2


# places


@pytest.mark.parametrize("size", [(40, 8), (80, 17), (129, 33), (200, 44)])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("wanted", [None, *SHAPES])
def test_charts_fill_the_grid_and_never_overlap(size, count, wanted):
    shape = fit(size, count, wanted)
    found = areas(size, shape, min(count, shape[0] * shape[1]))
    taken = np.zeros(size, int)
    for place in found:
        assert place.width >= 16
        assert place.height >= 5
        taken[place.left : place.left + place.width, place.top : place.top + place.height] += 1
    assert taken.max() == 1
    rows, columns = shape
    if len(found) == rows * columns:
        assert (taken.sum(0) == size[0] - (columns - 1)).all()


def test_a_title_says_the_values_under_the_crosshair():
    x = np.arange(1.0, 101)
    shown = Curves(
        name="loss",
        values=[("9.9", "bold")],
        series=[Series(x=x, y=x / 10, style=1, name="a", mark="o", signed=True)],
        place="{:,.0f}".format,
    )
    assert "loss  @40  o a 4 " in "".join(part for part, _ in shown.title(60, 40.2))
    assert "9.9" in "".join(part for part, _ in shown.title(60))
    drawn = lines(shown, picture(shown, (60, 12), "braille"), (60, 12), 40.2)
    assert {sum(len(part) for part, _ in line) for line in drawn} == {60}


# what is kept


def test_what_was_kept_comes_back_and_nonsense_does_not():
    lens = Lens(weight=0.6, log=True, x="epoch", band=False)
    kept.write("dash", lens, (2, 3), "blocks")
    assert kept.read("dash") == (lens, (2, 3), "blocks")
    assert kept.read("other") == (Lens(), None, "braille")
    remembered.put(
        "charts.dash", {"weight": "x", "log": 3, "x": [], "shape": [1, "a"], "mode": None, "band": 0}
    )
    assert kept.read("dash") == (Lens(), None, "braille")


# keys and mouse


@pytest.fixture
def curved(make):
    made = make("curved", steps=400)
    for k in range(4):
        made.train(50, loss=lambda n: 20.0 / n)
        made.verify(lfw=0.9 + k / 100)
    return made


@pytest.fixture
async def opened_grid(curved, root, until):
    app = Console(root, "curved")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: app.screen.query(ChartGrid) and app.screen.charts.pane is not None)
        await until(pilot, lambda: not app.screen.view.loading and app.screen.charts.whole() == (1, 200))
        yield app, pilot, app.screen.charts


@pytest.mark.long
async def test_the_crosshair_is_at_one_x_in_all_charts(opened_grid, until, shown):
    app, pilot, grid = opened_grid
    await pilot.press("c")
    assert grid.lens.cursor == 200
    titles = [row for row in shown(app).splitlines() if "  @200  " in row]
    assert "loss  @200  0.1000" in titles[0]
    assert "verify %  @200  o lfw 93.00" in titles[0]
    await pilot.press("left", "left", "shift+left")
    assert 100 < grid.lens.cursor < 170
    assert len(re.findall(f"@{grid.lens.cursor:,.0f}", shown(app))) == 2
    bars = [row.count("│") for row in shown(app).splitlines()]
    assert max(bars) >= 4  # two gutters and two crosshairs
    await pilot.press("c")
    assert grid.lens.cursor is None
    assert "@" not in shown(app).splitlines()[5]


@pytest.mark.long
async def test_keys_zoom_about_the_crosshair_and_pan(opened_grid, shown):
    app, pilot, grid = opened_grid
    await pilot.press("c", *["shift+left"] * 2, "plus", "plus")
    begin, end = grid.lens.visible((1, 200))
    assert end - begin == pytest.approx(199 / 4)
    assert begin < grid.lens.cursor < end
    await pilot.press("less_than_sign")
    assert grid.lens.visible((1, 200))[0] < begin
    await pilot.press("0")
    assert (grid.lens.span, grid.lens.cursor) == (None, None)
    await pilot.press("greater_than_sign")
    assert "all is visible" in shown(app)


@pytest.mark.long
async def test_every_key_acts_on_every_chart_or_says_why_not(opened_grid, until, shown):
    app, pilot, grid = opened_grid
    for name in [*grid.names]:
        assert grid.chosen == name
        for key, change in (("s", "weight"), ("y", "log"), ("x", "x"), ("B", "band")):
            before = getattr(grid.lens, change), [title(pane) for pane in grid.panes]
            await pilot.press(key)
            assert getattr(grid.lens, change) != before[0]
            if why := grid.pane.curves.refusals.get({"s": "smooth", "B": "band"}.get(key, "")):
                await until(pilot, lambda why=why: why.split(":")[0][:20] in shown(app))
        await pilot.press("m")
    assert grid.chosen == grid.names[0]


def title(pane):
    return "".join(part for part, _ in pane.curves.title(pane.area.width))


@pytest.mark.long
async def test_x_goes_by_step_epoch_and_time(opened_grid, shown):
    app, pilot, grid = opened_grid
    await pilot.press("x")
    assert grid.lens.x == "epoch"
    assert grid.whole() == (pytest.approx(0.01), pytest.approx(2.0, abs=0.01))
    await pilot.press("x")
    assert grid.whole() == (0.0, pytest.approx(199 * 0.5))
    await pilot.press("c")
    assert "@1m40" in shown(app)
    await pilot.press("x")
    assert (grid.whole(), grid.lens.cursor) == ((1.0, 200.0), None)


@pytest.mark.long
async def test_charts_are_found_by_name(opened_grid, shown):
    app, pilot, grid = opened_grid
    await pilot.press("slash", *"RATE")
    assert isinstance(app.screen, FindChart)
    assert [pane.name for pane in grid.panes] == ["lr"]
    await pilot.press(*"x")
    assert "no chart has such a name" in shown(app)
    await pilot.press("backspace", "enter")
    assert "learning rate  /rate  0.01" in shown(app)
    await pilot.press("escape")
    assert [pane.name for pane in grid.panes] == ["loss", "verification"]
    assert app.screen.charts is grid
    await pilot.press("slash", *"rate", "escape")
    assert [pane.name for pane in grid.panes] == ["loss", "verification"]


def test_without_colours_the_measured_values_do_not_hide_the_line(monkeypatch):
    x = np.arange(200.0)
    series = [
        Series(x=x, y=np.where(x % 2, 9.0, 1.0), style=BAND, mark="."),
        Series(x=x, y=np.full(200, 5.0), style=1),
    ]
    curves, size = Curves(name="loss", series=series), (60, 12)

    def rows(mode):
        return "".join(text for line in picture(curves, size, mode).rows() for text, _ in line)

    with_band = rows("braille")
    monkeypatch.setenv("NO_COLOR", "1")
    assert with_band.count("⣿") > 100 and rows("braille").count("⣿") == 0
    assert "." in rows("ascii") and "*" in rows("ascii")


@pytest.mark.long
async def test_rows_columns_and_toggles_are_kept_between_sessions(opened_grid, curved, root, until):
    _, pilot, grid = opened_grid
    await pilot.press("right_parenthesis", "y", "asterisk")
    assert (grid.shape, grid.mode) != (None, "braille")
    assert grid.lens.log
    again = Console(root, "curved")
    async with again.run_test(size=SMALL) as other:
        await until(other, lambda: again.screen.query(ChartGrid) and again.screen.charts.pane is not None)
        kept_grid = again.screen.charts
        assert (kept_grid.shape, kept_grid.mode, kept_grid.lens) == (grid.shape, grid.mode, grid.lens)
        await other.press("0")
        assert (kept_grid.shape, kept_grid.mode, kept_grid.lens) == (None, "braille", Lens())


@pytest.mark.long
async def test_a_guide_stands_at_the_value_under_the_crosshair(opened_grid, shown):
    app, pilot, grid = opened_grid
    await pilot.press("g")
    assert "c shows a crosshair" in shown(app)
    await pilot.press("c", "g", "c")
    assert "guide" in shown(app)
    assert len(grid.pane.curves.guides) == 1
    await pilot.press("g")
    assert grid.pane.curves.guides == []


@pytest.mark.long
async def test_the_mouse_points_zooms_and_drags(opened_grid, shown):
    app, pilot, grid = opened_grid
    pane = grid.panes[0]
    at = (pane.area.left + pane.drawn.axes.left + 5, pane.area.top + 4)
    await pilot.hover(ChartGrid, at)
    x = pane.drawn.axes.x_at(5)
    assert grid.lens.cursor == pytest.approx(x)
    assert len(re.findall(f"@{x:,.0f}", shown(app))) == 2
    await pilot._post_mouse_events([events.MouseScrollUp], ChartGrid, at, button=0)
    begin, end = grid.lens.visible((1, 200))
    assert end - begin == pytest.approx(199 / 1.25)
    assert (x - begin) / (end - begin) == pytest.approx((x - 1) / 199)
    await pilot.mouse_down(ChartGrid, (at[0] + 10, at[1]))
    await pilot.hover(ChartGrid, at)
    await pilot.mouse_up(ChartGrid, at)
    assert grid.lens.visible((1, 200))[0] > begin
    await pilot.hover("#status")
    assert grid.lens.cursor is None
    await pilot.click(ChartGrid, at, times=2)
    assert app.screen.has_class("-zoomed")


@pytest.mark.long
@pytest.mark.parametrize(("key", "kind"), [("1", "svg"), ("3", "csv"), ("6", "csv")])
async def test_what_is_seen_is_exported(opened_grid, until, tmp_path, monkeypatch, key, kind, shown):
    app, pilot, grid = opened_grid
    monkeypatch.chdir(tmp_path)
    await pilot.press("plus", "e")
    assert isinstance(app.screen, ExportBox)
    assert str(tmp_path)[:40] in shown(app)
    assert "report" in shown(app)  # what a PNG needs is read to its end
    await pilot.press(key)
    await until(pilot, (tmp_path / f"curved-loss.{kind}").exists)
    text = (tmp_path / f"curved-loss.{kind}").read_text()
    if kind == "svg":
        assert "<svg" in text
        assert "loss: curved" in text
    else:
        rows = list(csv.DictReader(text.splitlines()))
        begin, _ = grid.lens.visible((1, 200))
        assert {float(row["step"]) for row in rows} == set(np.arange(math.ceil(begin), 201.0))
        raw = [row for row in rows if row["line"] == "loss"]
        assert float(raw[-1]["loss"]) == pytest.approx(0.1, rel=1e-6)
    assert (tmp_path / "curved-verification.csv").exists() == (key == "6")
    await pilot.press("e", key)
    await until(pilot, (tmp_path / f"curved-loss-2.{kind}").exists)


@pytest.mark.long
async def test_nothing_is_exported_where_the_console_only_watches(opened_grid, until, tmp_path, monkeypatch):
    app, pilot, _ = opened_grid
    monkeypatch.chdir(tmp_path)
    app.readonly = True
    await pilot.press("e")
    if isinstance(app.screen, ExportBox):
        await pilot.press("1")
    await pilot.pause()
    assert not list(Path(tmp_path).glob("curved*"))


async def test_charts_are_drawn_one_in_a_turn(monkeypatch):
    """New numbers for eight charts keep a key waiting for one of them alone."""
    drawn = []
    x = np.arange(10.0)

    def maker(name):
        def make(lens):
            drawn.append(name)
            return Curves(name=name, series=[Series(x=x, y=x, style=1)], span=(0.0, 9.0))

        return make

    class Screenful(App):
        ascii = False

        def compose(self):
            yield ChartGrid({name: maker(name) for name in "abcdefgh"})

    app = Screenful()
    async with app.run_test(size=(160, 40)) as pilot:
        grid = app.query_one(ChartGrid)
        assert [pane.name for pane in grid.panes] == list("abcdefgh")
        drawn.clear()
        grid.redraw()
        assert drawn == ["a"]
        while len(drawn) < 8:
            await pilot.pause(0.001)
        assert drawn == list("abcdefgh")


@pytest.mark.long
async def test_a_grid_that_becomes_smaller_while_it_draws_is_drawn_anew(opened_grid, until):
    """Its charts come one in a turn, and the panels beside it may take rows meanwhile."""
    _, pilot, grid = opened_grid
    grid.redraw()
    grid.styles.height = 8
    grid.redraw()
    await until(pilot, lambda: grid.size.height == 8)
    await until(pilot, lambda: all(pane.area.top + pane.area.height <= 8 for pane in grid.panes))
