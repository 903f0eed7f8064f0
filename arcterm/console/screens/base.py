"""Bases of screens and boxes: the app's type, work in threads, the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from arcterm.console.keys import named
from arcterm.console.messages import Refused, Succeeded
from arcterm.console.tabs import TabLine
from arcterm.errors import ArctermError

if TYPE_CHECKING:
    from arcterm.console.app import Console

NARROW, WIDE = 100, 160


class ConsoleScreen(Screen[None]):
    """A screen that fills the terminal, below the line of tabs. Widths have three classes, heights three."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  Textual declares its type
        (0, "-narrow"),
        (NARROW, "-medium"),
        (WIDE, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (21, "-short"), (34, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = named(
        [
            Binding("q", "back", "back", tooltip="leave this screen; a run goes on without it"),
            Binding("escape", "escape", "", show=False),
        ]
    )
    changes: ClassVar[frozenset[str]] = frozenset()
    """Names of the actions that change something: not offered where the console only watches."""
    _escaping = _resumed = False

    def __init_subclass__(cls, **options: bool) -> None:
        cls.BINDINGS = named(cls.__dict__.get("BINDINGS", []))
        super().__init_subclass__(**options)

    @property
    def console_app(self) -> Console:
        return cast("Console", self.app)

    def _extend_compose(self, widgets: list[Widget]) -> None:
        """Add the line of tabs, which is docked at the top.

        The size has its classes before the first frame: Textual gives them after it.
        """
        for length, classes in zip(
            self.app.size, (self.HORIZONTAL_BREAKPOINTS, self.VERTICAL_BREAKPOINTS), strict=True
        ):
            self.add_class(*self._get_breakpoint_classes(length, classes))
        widgets.append(TabLine())
        super()._extend_compose(widgets)

    def on_mount(self) -> None:
        self.console_app.warn_once()

    def _on_screen_resume(self, event: events.ScreenResume) -> None:
        """Keep the styles that everything was just given as it was mounted: Textual gives them all again."""
        if not self._resumed:
            self._resumed = True
            event.refresh_styles = False

    def refusal(self, action: str) -> str:
        """Why an action can't be done now; empty if it can. Its key is not offered, and says this."""
        return ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done, and nothing that changes anything where the console only watches."""
        if self.refusal(action) or (self.console_app.readonly and action in self.changes):
            return False
        return super().check_action(action, parameters)

    def act(self, call: Callable[[], Callable[[], None]]) -> None:
        """Like `perform`, for what changes anything; refused where the console only watches."""
        try:
            self.console_app.require_actions()
        except ArctermError as error:
            self.console_app.show_error(error)
        else:
            self.perform(call)

    def perform(self, call: Callable[[], Callable[[], None]]) -> None:
        """Call `call` in a thread; its result is called in the UI, an `ArctermError` is shown."""

        def work() -> None:
            try:
                self.post_message(Succeeded(call()))
            except ArctermError as error:
                self.post_message(Refused(error))
            except OSError as error:
                self.post_message(Refused(ArctermError(str(error), "check the disk and try again")))

        self.run_worker(work, thread=True, group="perform", exit_on_error=False)

    def on_succeeded(self, message: Succeeded) -> None:
        message.then()

    def on_refused(self, message: Refused) -> None:
        self.console_app.show_error(message.error)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show an unexpected error of a thread."""
        if event.state is WorkerState.ERROR:
            what = f"{type(event.worker.error).__name__}: {event.worker.error}"
            self.console_app.show_error(ArctermError(what, "this is a defect; runs are not touched by it"))

    def action_escape(self) -> None:
        """What ``q`` does, but it never leaves the console."""
        self._escaping = True
        try:
            self.action_back()
        finally:
            self._escaping = False

    def action_back(self) -> None:
        if self._escaping and self.console_app.at_root:
            self.notify("q leaves the console; runs go on", timeout=3, markup=False)
        else:
            self.console_app.leave()

    def copies(self) -> list[tuple[str, str]]:
        """What of this screen one may want on the clipboard: a name and the text of each."""
        return []


class Box(ModalScreen[object]):
    """A question or an answer over the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "cancel", "close")]

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class FootBox(Box):
    """A box with a line or two, through which the screen below is seen as it is, while that goes on."""

    def render_lines(self, crop: Region) -> list[Strip]:
        """Give the rows of the screen below; Textual would make each of them anew, piece by piece."""
        below = self.app.screen_stack[self.app.screen_stack.index(self) - 1]
        if below.size != self.size or isinstance(below, ModalScreen):
            return super().render_lines(crop)
        rows = below._compositor.render_strips()[crop.y : crop.bottom]
        return [row.crop(crop.x, crop.right) for row in rows]
