"""The widget that draws panels: what it shows is what its painter says."""

from __future__ import annotations

from textual.app import App
from textual.containers import Vertical

from arcterm.console.rows import Rows

from .conftest import screen_text


class OnePanel(App):
    """A panel whose rows all say the same."""

    said = "before"

    def compose(self):
        with Vertical():
            yield Rows(lambda width, height: [[(f"{self.said} {y}", "")] for y in range(height)])


async def test_a_panel_that_was_hidden_meanwhile_shows_what_is_so_now():
    app = OnePanel()
    async with app.run_test(size=(40, 10)) as pilot:
        rows, around = app.query_one(Rows), app.query_one(Vertical)
        rows.styles.height = 2
        await pilot.pause()
        assert screen_text(app).split() == ["before", "0", "before", "1"]
        around.display = False
        await pilot.pause()
        app.said = "after"
        rows.repaint()  # it has no size
        around.display = True
        await pilot.pause()
        rows.repaint()  # no row differs from those that it has
        await pilot.pause()
        assert screen_text(app).split() == ["after", "0", "after", "1"]
