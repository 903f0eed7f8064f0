"""How the networks of other programs take their images: by their authors' code, or by what a user says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
from arcterm_registry import Preprocess

from arcterm.errors import DataError


@dataclass(frozen=True)
class Feeding:
    """What is done to an image, and by what that is known where the file does not say; else empty."""

    preprocess: Preprocess
    basis: str = ""
    eps: float = 1e-5
    """What the author's batch norms add to their variance: torch's default where nothing else is known."""


def _as_in(program: str, preprocess: Preprocess, eps: float = 1e-5) -> Feeding:
    return Feeding(preprocess, f"as {program} feeds it, a guess: the file does not say", eps)


_HALVED = Preprocess(mean=127.5, scale=1 / 127.5)

ARCFACE_TORCH = _as_in("arcface_torch", _HALVED)
MAGFACE = _as_in("MagFace's own code", Preprocess(mean=0.0, scale=1 / 255, channels="bgr"), eps=2e-5)
FOAMLIU = _as_in(
    "foamliu's code",  # torchvision's numbers, which are of pixels 0..1
    Preprocess(mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), scale=(1 / 58.395, 1 / 57.12, 1 / 57.375)),
)
CVLFACE = _as_in("CVLface", _HALVED)
EVOLVE = _as_in("face.evoLVe", _HALVED)
ADAFACE = _as_in("AdaFace's own code", replace(_HALVED, channels="bgr"))
ONNX = _as_in("InsightFace", _HALVED)
INSIGHTFACE_2018 = _as_in("InsightFace's code of 2018", Preprocess(mean=127.5, scale=1 / 128))


class Known(msgspec.Struct, frozen=True):
    """What a user says of a foreign model."""

    backbone: str | None = None
    options: dict[str, Any] = {}
    channels: Literal["rgb", "bgr"] | None = None
    mean: float | tuple[float, float, float] | None = None
    scale: float | tuple[float, float, float] | None = None

    def check(self, source: object, said: Preprocess) -> None:
        """Raise `DataError` if this differs from what a file says itself."""
        there = self.over(Feeding(said)).preprocess
        if (there.planes, there.channels) != (said.planes, said.channels):
            raise DataError(
                f"{source} says itself how images enter it", "leave out --channels, --mean, --std and --scale"
            )

    def over(self, found: Feeding) -> Feeding:
        """What is said here, the rest as `found`."""
        given = {key: getattr(self, key) for key in ("channels", "mean", "scale")}
        given = {key: value for key, value in given.items() if value is not None}
        if not given:
            return found
        rest = [key for key in ("channels", "mean", "scale") if key not in given]
        basis = f"{', '.join(rest)} {found.basis}" if rest and found.basis else ""
        return Feeding(replace(found.preprocess, **given), basis, found.eps)
