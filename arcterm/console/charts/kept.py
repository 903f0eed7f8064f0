"""How charts were looked at last, kept between sessions."""

from __future__ import annotations

from typing import Any

from arcterm.console import remembered
from arcterm.console.charts.lens import AXES, LEVELS, Lens
from arcterm.console.charts.panes import SHAPES
from arcterm.show.chart import MODES, Mode

_NOTHING: dict[str, Any] = {}


def read(name: str) -> tuple[Lens, tuple[int, int] | None, Mode]:
    """Return lens, rows and columns, and mode as they were kept, or else the usual ones."""
    kept = remembered.get(f"charts.{name}", _NOTHING)
    plain = Lens()
    lens = Lens(
        weight=_one_of(LEVELS, kept.get("weight"), plain.weight),
        log=kept.get("log") is True,
        x=_one_of(AXES, kept.get("x"), plain.x),
        band=kept.get("band") is not False,
    )
    shape = next((known for known in SHAPES if list(known) == kept.get("shape")), None)
    return lens, shape, _one_of(MODES, kept.get("mode"), MODES[0])


def write(name: str, lens: Lens, shape: tuple[int, int] | None, mode: Mode) -> None:
    """Keep them; what part of x is visible is not: it is another one in another run."""
    settings = {"weight": lens.weight, "log": lens.log, "x": lens.x, "band": lens.band, "mode": mode}
    remembered.put(f"charts.{name}", settings | {"shape": shape and list(shape)})


def _one_of(offered: tuple[Any, ...], value: object, default: Any) -> Any:
    return value if value in offered else default
