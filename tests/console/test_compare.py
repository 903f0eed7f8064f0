"""Compare: marked runs over each other, what differs, and how they are told apart."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from arcterm.console.app import Console
from arcterm.console.charts.curves import STYLES
from arcterm.console.marks import SIGNS, Marks, look
from arcterm.console.panels import comparison
from arcterm.console.screens.boxes import Problem
from arcterm.console.screens.compare import Compare
from arcterm.console.screens.runs import RunList
from arcterm.console.tabs import COMPARE
from arcterm.runs import store
from arcterm.runs.query.facts import RunFacts
from arcterm.runs.store import Run, RunRecord

from ..runs.conftest import config

SMALL, LARGE = (80, 24), (160, 45)


@pytest.fixture
def two(make, root):
    """Two marked runs that are over, and one that is not marked."""
    made = [make("first", lr=0.1), make("second", lr=0.05, loss="cosface"), make("third")]
    for run, steps, score in zip(made, (100, 60, 5), (0.93, 0.955, 0.5), strict=True):
        run.train(steps)
        run.verify(lfw=score, cfp=score - 0.1)
        run.become("done")
    marks = Marks(root)
    for run in made[:2]:
        marks.toggle(run.run.id)
    return made


def said(lines):
    return ["".join(text for text, _ in line) for line in lines]


def read(app):
    screen = app.screen
    return isinstance(screen, Compare) and screen.items and not any(i.loading for i in screen.items)


@pytest.mark.long
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_marked_runs_are_drawn_over_each_other(two, root, until, shown, size):
    app = Console(root)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunList) and app.screen.shown)
        await pilot.press("c")
        await until(pilot, lambda: read(app))
        text = shown(app)
        assert "compare 2 runs" in text and "baseline first" in text
        assert "third" not in text
        legend = [line for line in text.splitlines() if "✓ done" in line]
        assert legend[0].startswith("▸o first") and legend[0].endswith("base")
        assert legend[1].startswith(" + second")
        await pilot.click("#legend", offset=(5, 1))
        assert app.screen.target().name == "second" and "▸+ second" in shown(app)
        curves = app.screen.charts.panes[0].curves
        assert [(s.mark, s.name, STYLES[s.style]) for s in curves.series] == [
            ("o", "first", "s1"),
            ("+", "second", "s2"),
        ]
        assert [len(s.x) for s in curves.series] == [100, 60] and all(s.signed for s in curves.series)
        assert curves.span == (1.0, 100.0)
        assert list(app.screen.charts.makers)[:3] == ["loss", "verify lfw", "verify cfp"]
        await pilot.press("m")
        await until(pilot, lambda: "o 93.00  + 95.50" in shown(app))
        await pilot.press("c")
        await until(pilot, lambda: "@100" in shown(app) and "+ –" in shown(app))  # it ended at step 60
        await pilot.press("c", "x", "x")
        assert "x by time" in shown(app)
        if size == LARGE:
            assert "what differs" in shown(app) and "+2.50" in shown(app)


@pytest.mark.long
async def test_what_differs_the_baseline_and_the_table(two, root, until, shown, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    app = Console(root)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunList) and app.screen.shown)
        await pilot.press("3")
        await until(pilot, lambda: read(app))
        await pilot.press("d")
        await until(pilot, lambda: "what differs" in shown(app))
        text = shown(app)
        assert "0.1" in text and "0.05" in text and "cosface" in text and "backbone" not in text
        assert "+2.50" in text
        await pilot.press("j", "b")
        await until(pilot, lambda: "baseline second" in shown(app) and "-2.50" in shown(app))
        await pilot.press("d")
        await until(pilot, lambda: "all settings" in shown(app) and "backbone" in shown(app))
        await pilot.press("c")
        assert "a table is shown; d goes on to the charts" in [n.message for n in app._notifications]
        await pilot.press("E")
        await until(pilot, lambda: list(tmp_path.glob("comparison-of-2-runs.csv")))
        rows = list(csv.reader(next(tmp_path.glob("comparison-of-2-runs.csv")).read_text().splitlines()))
        assert rows[0] == ["key", "first", "second"] and ["lr", "0.1", "0.05"] in rows
        await pilot.press("escape")
        await until(pilot, lambda: "all settings" not in shown(app))
        await pilot.press("e", "3")
        await until(pilot, lambda: list(tmp_path.glob("comparison-of-2-runs-loss.csv")))
        curves = next(tmp_path.glob("comparison-of-2-runs-loss.csv")).read_text()
        assert "first" in curves and "second" in curves
        await pilot.press("space")
        await until(pilot, lambda: "compare 1 run" in shown(app))
        await pilot.press("space")
        await until(pilot, lambda: "No run is marked" in shown(app))
        await pilot.press("d", "b", "E", "z", "s", "space", "o")  # nothing to act on, nothing fails
        await until(pilot, lambda: isinstance(app.screen, Compare))


@pytest.mark.long
async def test_runs_that_are_damaged_or_go_are_said_in_words(two, root, until, shown):
    (two[0].run.path / "state.json").write_text("{")
    app = Console(root)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        app.go(COMPARE)
        await until(pilot, lambda: read(app))
        await until(pilot, lambda: "! damaged" in shown(app) and "✓ done" in shown(app))
        assert [s.name for s in app.screen.charts.panes[0].curves.series] == ["second"]
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, Problem))
        await pilot.press("escape")
        store.remove(two[1].run)
        app.screen.look()
        await until(pilot, lambda: "compare 1 run" in shown(app))
    assert Marks(root).ids == [two[0].run.id]


@pytest.mark.long
async def test_one_that_only_watches_exports_nothing(two, root, until, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    app = Console(root, readonly=True)
    async with app.run_test(size=SMALL) as pilot:
        app.go(COMPARE)
        await until(pilot, lambda: read(app))
        await pilot.press("E")
        await pilot.pause()
    assert not list(tmp_path.glob("*.csv"))


def test_every_mark_differs_in_its_sign_and_six_in_their_colours(root):
    looks = [look(index) for index in range(len(SIGNS))]
    assert len({sign for sign, _ in looks}) == len(SIGNS)
    assert len({role for _, role in looks[:6]}) == 6
    marks = Marks(root)
    assert all(marks.toggle(f"run-{i}") for i in range(len(SIGNS)))
    assert not marks.toggle("one-more")
    assert Marks(root).ids == marks.ids
    marks.keep({"run-3"})
    assert Marks(root).signs() == {"run-3": look(0)}


def test_no_row_of_the_tables_is_lost_without_a_word():
    runs = [
        RunFacts(
            run=Run(Path(f"r{n}")), name=f"r{n}", known=True, bests={f"set{i}": (0.9, n) for i in range(4)}
        )
        for n in range(9)
    ]
    looks = [(sign, "s1") for sign in SIGNS[:9]]
    rows = said(comparison.results(runs, looks, 0, 60, 10))
    assert len(rows) == 10 and "against baseline, 1–9 of 36" in rows[0] and rows[1].startswith(" set0")
    rows = said(comparison.results(runs, looks, 0, 60, 10, 99))
    assert len(rows) == 10 and "28–36 of 36" in rows[0] and rows[1].startswith(" set3")
    rows = said(comparison.results(runs, looks, 0, 60, 10, 4))
    assert rows[1].startswith(" set0") and rows[6].startswith(" set1")


def test_settings_say_how_many_runs_have_a_column():
    runs = [
        RunFacts(
            run=Run(Path(f"r{n}")),
            record=RunRecord(
                format_version=1,
                id=f"r{n}",
                name="",
                created="2026-01-01T00:00:00+00:00",
                config=config(lr=0.1 + n),
                argv=[],
                host="",
            ),
        )
        for n in range(9)
    ]
    looks = [(sign, "s1") for sign in SIGNS[:9]]
    heading, *rows = said(comparison.settings(runs, looks, 80, 10, every=False))
    assert "6 of 9 runs" in heading
    assert rows[0].split() == ["lr", *(part for n in range(6) for part in (SIGNS[n], f"{0.1 + n:g}"))]
    heading, *rows = said(comparison.settings(runs, looks, 160, 10, every=False))
    assert "of 9 runs" not in heading
    assert rows[0].split()[-1] == "8.1"
