"""The losses that come with arcterm, as declarations; the formulas are in `margins`."""

from __future__ import annotations

import math

from arcterm_registry import Loss, Option

_scale = Option(
    name="scale",
    type=float,
    default=64.0,
    help="factor s of all logits",
    low=0.0,
    high=256.0,
    open_low=True,
)

softmax = Loss(
    summary="Softmax: plain products with a bias per class, no margin",
    factory="arcterm.losses.margins:Softmax",
)

cosface = Loss(
    summary="CosFace (AM-Softmax): margin subtracted from the target cosine",
    factory="arcterm.losses.margins:CosFace",
    options=(
        Option(
            name="margin",
            type=float,
            default=0.35,
            help="what is subtracted from the target cosine",
            low=0.0,
            high=1.0,
        ),
        _scale,
    ),
)

arcface = Loss(
    summary="ArcFace: margin added to the target angle",
    factory="arcterm.losses.margins:ArcFace",
    options=(
        Option(
            name="margin",
            type=float,
            default=0.5,
            help="what is added to the target angle, radians",
            low=0.0,
            high=math.pi / 2,
            open_high=True,
        ),
        _scale,
        Option(
            name="easy_margin",
            type=bool,
            default=False,
            help="apply the margin only where the target angle is below 90 degrees",
        ),
    ),
)
