"""The registry: what is installed, what does not work and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from arcterm_registry import KINDS, Plugin, refresh, scan
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input

from arcterm.console.habits.cursor import CursorKeys, CursorRows
from arcterm.console.keys import KeyLine
from arcterm.console.panels import registry
from arcterm.console.panels.listing import first_row
from arcterm.console.rows import Rows
from arcterm.console.screens.boxes import Ask
from arcterm.console.screens.command import run_command
from arcterm.console.tabs import LAUNCH
from arcterm.show.lines import Line
from arcterm.show.plugins import Health, check_command, health

_IN_FORM = ("backbone", "loss", "dataset", "tracker", "recipe")


class PluginTable(CursorRows):
    """The plug-ins of a kind; a click chooses one, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, Registry):
            row = event.y - 1 + first_row(len(screen.shown), screen.cursor, self.size.height)
            if event.y and row < len(screen.shown):
                screen.action_move(row - screen.cursor)


class Registry(CursorKeys):
    """Lists every plug-in with its state; declarations of others are loaded by other processes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "use", "use", tooltip="put it into the launch form, or fill in the form of the job"),
        Binding("tab,right,l", "kind(1)", "kind", tooltip="go to the next kind of plug-ins"),
        Binding("shift+tab,left,h", "kind(-1)", "kind before", show=False),
        Binding("v", "check(True)", "check", tooltip="try it out: arcterm plugins check --quick"),
        Binding("V", "check(False)", "whole check", show=False, tooltip="compile and export it too"),
        Binding("r", "refresh", "look again", tooltip="look for packages that came, went or were repaired"),
        Binding(
            "exclamation_mark", "broken", "broken", key_display="!", tooltip="show only what does not work"
        ),
        Binding(
            "slash", "filter", "filter", tooltip="show those in whose name, package or summary it occurs"
        ),
        Binding("y", "copy", "copy", tooltip="copy the first remedy, or the command that checks it"),
        Binding("ctrl+d,pagedown", "move(10)", "ten down", show=False),
        Binding("ctrl+u,pageup", "move(-10)", "ten up", show=False),
    ]

    changes = frozenset({"check"})

    @dataclass
    class Found(Message):
        """The plug-ins of one kind are known, each with its state."""

        kind: str
        plugins: list[tuple[Plugin, Health]]

    def __init__(self) -> None:
        super().__init__()
        self.kind = next(iter(KINDS))
        self.cursor = 0
        self._found: dict[str, list[tuple[Plugin, Health]]] = {}
        self._only_broken = False

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        yield Rows(lambda w, h: registry.kinds(self._plugins(), self.kind, w), id="kinds")
        with Horizontal(id="plugins"):
            yield PluginTable(self._draw_table, id="table")
            with VerticalScroll(id="about-it", can_focus=False):
                yield Rows(self._draw_detail, id="facts-of-it")
        yield Rows(self._draw_trouble, id="trouble")
        yield Input(placeholder="words to look for", id="filter", compact=True)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self._look()

    def _look(self) -> None:
        """Scan each kind in a thread of its own: one with a plug-in that hangs keeps no other waiting."""
        for kind in KINDS:
            self.run_worker(partial(self._scan, kind), thread=True, group="scan", exit_on_error=False)

    def _scan(self, kind: str) -> None:
        self.post_message(self.Found(kind, [(plugin, health(plugin)) for plugin in scan(kind)]))

    def on_registry_found(self, message: Found) -> None:
        self._found[message.kind] = message.plugins
        self._repaint()

    @property
    def shown(self) -> list[tuple[Plugin, Health]]:
        """The plug-ins of the chosen kind that pass the filters."""
        words = self.query_one("#filter", Input).value.lower().split()
        found = self._found.get(self.kind, [])
        return [(p, state) for p, state in found if self._passes(p, state, words)]

    def _passes(self, plugin: Plugin, state: Health, words: list[str]) -> bool:
        summary = plugin.declaration.summary if plugin.declaration else plugin.error
        text = f"{plugin.full_name} {state.state} {summary}".lower()
        return all(word in text for word in words) and not (self._only_broken and state.state == "ok")

    @property
    def chosen(self) -> tuple[Plugin, Health] | None:
        """The plug-in under the cursor, and its state."""
        shown = self.shown
        return shown[min(self.cursor, len(shown) - 1)] if shown else None

    def action_move(self, rows: int) -> None:
        self.cursor = max(0, min(self.cursor + rows, len(self.shown) - 1))
        self._repaint()

    def action_kind(self, places: int) -> None:
        every = list(KINDS)
        self.kind = every[(every.index(self.kind) + places) % len(every)]
        self.cursor = 0
        self._repaint()

    def action_broken(self) -> None:
        """Show only what does not work, of the first kind that has such, or all again."""
        self._only_broken = not self._only_broken
        if self._only_broken and not self.shown:
            wrong = [kind for kind, found in self._found.items() if any(s.state != "ok" for _, s in found)]
            self.kind = wrong[0] if wrong else self.kind
        self.cursor = 0
        self._repaint()

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.cursor = 0
        self._repaint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        self.set_focus(None)
        event.input.display = bool(event.value)

    def action_refresh(self) -> None:
        """Look again, in a thread, for what is installed."""

        def look() -> Callable[[], None]:
            refresh()
            return self._look_again

        self.perform(look)

    def _look_again(self) -> None:
        self._found.clear()
        self._repaint()
        self._look()

    def action_check(self, quick: bool) -> None:
        """Try the plug-in out, in a process of its own; a data set's needs a path."""
        if self.chosen is None:
            return
        plugin = self.chosen[0]
        words = ["plugins", "check", plugin.full_name, "--kind", plugin.kind, *["--quick"] * quick]
        takes_path = bool(getattr(plugin.declaration, "takes_path", False))
        if not takes_path:
            run_command(self, words)
            return

        def with_path(path: object) -> None:
            if path:
                run_command(self, [*words, "--path", str(path)])

        self.app.push_screen(
            Ask(f"check {plugin.name}", "the directory or file of a data set for it"), with_path
        )

    def action_use(self) -> None:
        """Put the plug-in into the form in which it can be chosen."""
        if self.chosen is None:
            return
        plugin = self.chosen[0]
        if plugin.kind == "job":
            self.console_app.open_job(plugin.unique_name)
        elif plugin.kind in _IN_FORM:
            from arcterm.console.forms.launch import LaunchForm

            self.console_app.go(LAUNCH)
            if isinstance(self.app.screen, LaunchForm):
                kind = "track" if plugin.kind == "tracker" else plugin.kind
                self.app.screen.want(kind, plugin.unique_name)

    def copies(self) -> list[tuple[str, str]]:
        if self.chosen is None:
            return []
        plugin, state = self.chosen
        names = [("name", plugin.full_name), ("target", plugin.target)]
        checked = [("check", check_command(plugin))] if plugin.kind in registry.CHECKED else []
        return [*(("remedy", remedy) for remedy in state.remedies), *checked, *names]

    def action_copy(self) -> None:
        """Copy the first remedy, or the command that checks the plug-in."""
        if self.chosen is not None:
            plugin, state = self.chosen
            text = state.remedies[0] if state.remedies else check_command(plugin)
            self.app.copy_to_clipboard(text)
            self.notify(text, title="copied", timeout=3, markup=False)

    def action_back(self) -> None:
        """First clear the filters, then leave."""
        field = self.query_one("#filter", Input)
        if field.display or self._only_broken:
            self._only_broken = False
            field.value = ""
            field.display = False
            self.set_focus(None)
            self._repaint()
        else:
            super().action_back()

    def refusal(self, action: str) -> str:
        """What the chosen plug-in does not allow."""
        if action not in ("check", "use"):
            return ""
        chosen = self.chosen if self.is_mounted else None
        if chosen is None:
            return "there is no plug-in here"
        plugin = chosen[0]
        if action == "check":
            return "" if plugin.kind in registry.CHECKED else f"there is no check of a {plugin.kind}"
        if plugin.error:
            return "it does not work; y copies the remedy"
        return "" if plugin.kind in (*_IN_FORM, "job") else f"a {plugin.kind} has no place in a form"

    def _repaint(self) -> None:
        state = self.chosen[1].state if self.chosen else "ok"
        self.set_class(state != "ok", "-trouble")
        for drawn in self.query(Rows):
            drawn.repaint()
        self.query_one("#facts-of-it", Rows).refresh(layout=True)  # it is as high as it has rows
        self.refresh_bindings()

    def _plugins(self) -> dict[str, list[Plugin]]:
        return {kind: [plugin for plugin, _ in found] for kind, found in self._found.items()}

    def _draw_title(self, width: int, height: int) -> list[Line]:
        states = [state.state for found in self._found.values() for _, state in found]
        return registry.title(self._plugins(), states, width)

    def _draw_table(self, width: int, height: int) -> list[Line]:
        known = self.shown if self.kind in self._found else None
        filtered = self._only_broken or bool(self.query_one("#filter", Input).value)
        return registry.table(known, self.cursor, width, height, filtered)

    def _draw_detail(self, width: int, height: int) -> list[Line]:
        return registry.detail(self.chosen[0], width) if self.chosen else []

    def _draw_trouble(self, width: int, height: int) -> list[Line]:
        return registry.trouble(*self.chosen, width, height) if self.chosen else []
