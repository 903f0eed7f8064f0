"""The run list: filter, sort, marks, tags and notes, and that it reads and draws no more than it must."""

from __future__ import annotations

import builtins
import os

import pytest

from arcterm.console import catalogue
from arcterm.console.app import Console
from arcterm.console.catalogue import Catalogue
from arcterm.console.panels import listing
from arcterm.console.panels.listing import SortOrder, sparkline
from arcterm.console.screens.boxes import Ask, Problem
from arcterm.runs import notes, store
from arcterm.runs.notes import Notes
from arcterm.runs.reading.samples import sample_losses

SMALL, LARGE = (80, 24), (180, 45)


@pytest.fixture
def three(make):
    """Runs that are over: alpha of cosface with the best score, beta tagged, gamma failed."""
    made = [
        make("alpha", loss="cosface", lr=0.1),
        make("beta", lr=0.05),
        make("gamma", backbone="r18", lr=0.01),
    ]
    for run, steps, score in zip(made, (40, 30, 20), (0.93, 0.92, 0.91), strict=True):
        run.train(steps)
        run.verify(lfw=score)
        run.become("done")
    made[2].become("failed")
    notes.write(made[1].run, Notes(tags=("old",), text="a [note]"))
    for path in (*(run.run.path for run in made), made[0].run.path.parent):
        os.utime(path, (1e9, 1e9))  # what changed just now may change again in the same tick of the clock
    return made


def names(app):
    return [run.name for run in app.screen.shown]


def whole(app):
    """Whether every run is read."""
    return app.screen._runs and not app.screen._counts.unread


@pytest.mark.long
async def test_the_filter_is_explained_counted_and_kept(three, root, until, shown, monkeypatch):
    monkeypatch.setattr("arcterm.runs.query.order._SLICE", 1)  # in turns, as thousands of runs are
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: whole(app))
        await pilot.press("slash")
        field = app.screen.query_one("#filter")
        for text, found in (
            ("lr>=0.05 OR name:gam", ["gamma", "beta", "alpha"]),
            ("lr>=0.05 -tag:old", ["alpha"]),
            ("has:note", ["beta"]),
            ("state:failed", ["gamma"]),
            ("best>92.5", ["alpha"]),
            ("lfw>0.915 margin:0.5", ["beta", "alpha"]),
        ):
            field.value = text
            counted = f"{len(found)} of 3 shown"
            await until(
                pilot, lambda found=found, counted=counted: names(app) == found and counted in shown(app)
            )
        field.value = "lrr>=0.05"
        await until(pilot, lambda: "no run has lrr: did you mean lr?" in shown(app))
        assert names(app) == ["beta", "alpha"]  # as before the mistake
        field.value = "lr>=0.05 OR"  # whose explanation is longer than a row
        await until(
            pilot, lambda: "is missing after OR" in shown(app) and "state:failed best>98" in shown(app)
        )
        field.value = "lr>=0.1"
        await until(pilot, lambda: names(app) == ["alpha"])
        assert "did you mean" not in shown(app)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: len(names(app)) == 3)


@pytest.mark.long
async def test_columns_sort_by_key_and_by_mouse_also_next_time(three, root, until, shown):
    app = Console(root)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: whole(app) and names(app) == ["gamma", "beta", "alpha"])
        await pilot.press("full_stop")
        assert names(app) == ["alpha", "beta", "gamma"] and "by run ▴" in shown(app)
        await pilot.press("v")
        assert names(app) == ["gamma", "beta", "alpha"] and "run▾" in shown(app)
        x = shown(app).splitlines()[2].index("best %")
        await pilot.click("#table", offset=(x, 0))
        assert names(app) == ["alpha", "beta", "gamma"]
        await pilot.click("#table", offset=(x, 0))
        assert names(app) == ["gamma", "beta", "alpha"] and "by best % ▴" in shown(app)
        await pilot.press("comma")
        assert "by loss" in shown(app)
    again = Console(root)
    async with again.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "by loss" in shown(again))


@pytest.mark.long
async def test_marks_tags_and_notes(three, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: whole(app))
        assert "c compare" not in shown(app)
        await pilot.press("space", "space")
        assert "2 marked" in shown(app) and "c compare" in shown(app)
        assert "o" in shown(app).splitlines()[3][:3] and "+" in shown(app).splitlines()[4][:3]
        await pilot.press("g", "number_sign")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"base #x", "enter")
        await until(pilot, lambda: notes.read(three[2].run).tags == ("base", "x"))
        await until(pilot, lambda: "#base #x" in shown(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*r"two\nlines", "enter")
        await until(pilot, lambda: notes.read(three[2].run).text == "two\nlines")
        await pilot.press("number_sign")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("comma", "enter")
        await until(pilot, lambda: isinstance(app.screen, Problem) and "can't be a tag" in shown(app))
    again = Console(root)
    async with again.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "2 marked" in shown(again))


async def test_one_that_only_watches_writes_no_notes(three, root, until, shown):
    app = Console(root, readonly=True)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: whole(app))
        assert "# tags" not in shown(app)
        await pilot.press("number_sign")
        await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))
    assert notes.read(three[2].run).tags == ()


def test_an_idle_look_opens_nothing(three, root, monkeypatch):
    """Runs that are over are read once; after that a look asks for times of change."""
    runs = Catalogue(root)
    more = True
    while more:
        found, more = runs.refresh()
    assert len(found) == 3 and runs.opened == 3
    runs.visible = [run.run.id for run in found]
    runs.refresh()  # what only rows on the screen show
    opened = []
    for module, name in ((builtins, "open"), (os, "open"), (os, "scandir"), (os, "listdir")):
        real = getattr(module, name)

        def noting(*given, real=real, **named):
            opened.append(given[0])
            return real(*given, **named)

        monkeypatch.setattr(module, name, noting)
    for _ in range(5):
        assert runs.refresh() == (None, False)
    assert not opened and runs.opened == 3
    notes.write(three[0].run, Notes(tags=("new",)))
    found, _ = runs.refresh()
    assert [run.notes.tags for run in found] == [(), ("old",), ("new",)] and runs.opened == 4


@pytest.mark.long
async def test_a_look_that_found_nothing_draws_nothing(three, root, until, monkeypatch):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: whole(app) and app.screen.chosen.size is not None)
        drawn = []
        real = listing.table
        monkeypatch.setattr(listing, "table", lambda *given: drawn.append(1) or real(*given))
        looks = app.screen._quiet
        for _ in range(3):
            app.screen.look()
            await until(pilot, lambda looks=looks: app.screen._quiet > looks)
            looks = app.screen._quiet
        assert not drawn
        await pilot.press("j")
        assert len(drawn) == 1


def test_rows_on_the_screen_are_read_first(make, root, monkeypatch):
    made = [make(f"run-{i}") for i in range(8)]
    for run in made:
        run.become("done")
    for budget in ("_BUDGET_SECONDS", "_FIRST_SECONDS"):  # no time for others
        monkeypatch.setattr(catalogue, budget, -1.0)
    runs = Catalogue(root)
    found, more = runs.refresh()
    assert more and not any(run.known for run in found) and len(found) == 8
    last = sorted(run.run.id for run in found)[0]
    runs.visible = [last]
    found, more = runs.refresh()
    assert more and [run.run.id for run in found if run.known] == [last]


def test_runs_that_come_go_or_are_damaged_while_they_are_listed(three, root, monkeypatch):
    runs = Catalogue(root)
    while runs.refresh()[1]:
        pass
    store.remove(three[0].run)
    (three[1].run.path / "notes.json").write_text("{")
    runs.visible = [three[1].run.id]
    os.utime(three[1].run.path)
    found, _ = runs.refresh()
    assert [run.word for run in found] == ["failed", "damaged"]
    assert "notes.json is not what arcterm wrote" in found[1].state.reason
    three[1].run.path.rename(root / "away")
    found, _ = runs.refresh()
    assert [run.name for run in found] == ["gamma"] and runs.others == 1


def test_a_sparkline_is_over_the_whole_run(make):
    made = make("long", steps=2000)
    made.train(1000, loss=lambda step: 20.0 if step < 500 else 5.0)
    points = sample_losses(made.run, 24)
    assert points[-1] == (1000, 5.0) and points[0][1] == 20.0 and 15 < len(points) < 40
    runs = Catalogue(made.run.path.parent)
    runs.refresh()
    runs.visible = [made.run.id]
    found = runs.refresh()[0][0]
    drawn = sparkline(found, 20)
    assert drawn.startswith("█") and drawn[9] == "▁" and drawn[10:] == " " * 10  # half of it is made


def test_every_order_names_a_column():
    order = SortOrder()
    seen = set()
    for _ in range(len(listing.COLUMNS)):
        order = order.next(1)
        seen.add(order.by.key)
    assert {"name", "best", "loss", "age", "state", "loss_fn", "tag", "size"} <= seen
    assert SortOrder("nonsense").by.name == "age"


@pytest.mark.parametrize("width", [*range(60, 200), 300])
def test_no_column_is_cut_off(width):
    head = listing.table([], 0, width, 5)[0]
    assert sum(len(text) for text, _ in head) < width
    assert "".join(text for text, _ in head).endswith(" age") is (width >= 72)


@pytest.mark.parametrize("width", [60, 80, 120, 137, 180])
def test_a_heading_is_where_it_is_clicked(width):
    head = "".join(text for text, _ in listing.table([], 0, width, 5)[0])
    at = 0
    for column in listing.COLUMNS:
        if width >= column.least:
            at = head.index(column.name, at)
            assert listing.heading_at(at, width) == (column.name if column.key else "")
            at += len(column.name)
