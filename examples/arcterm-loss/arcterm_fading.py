"""A loss for arcterm: what the target cosine becomes. All else, however many GPUs, is the head's work."""

from dataclasses import dataclass

from arcterm_registry import Loss, Option
from arcterm_registry.contracts import Margin


@dataclass(kw_only=True)
class Fading(Margin):
    """Target t - m·(1 - t)/2: the whole margin opposite the centre, none at it."""

    margin: float

    def target(self, t, norm, step):
        return t - self.margin * (1 - t) / 2


_margin = Option(name="margin", type=float, default=0.5, low=0, high=2, help="margin opposite the centre")
fading = Loss(
    summary="A margin that fades towards the centre", factory="arcterm_fading:Fading", options=(_margin,)
)
