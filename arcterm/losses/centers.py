"""Several centres a class: an image is compared with the nearest one."""

from __future__ import annotations

from arcterm_registry import get
from arcterm_registry.contracts import Margin

from arcterm.losses import checks


def sub_center(*, centers: int, over: str, margin: float | None = None, scale: float | None = None) -> Margin:
    """The loss `over` with `centers` rows per class; `margin` and `scale` replace that loss's defaults.

    Raises `ValueError` if `over` has no such option, or no class weights.
    """
    asked = checks.sub_center(over=over, margin=margin, scale=scale)
    made: Margin = get("loss", over).make(**asked)
    made.centers = centers
    return made
