"""The backbones that come with arcterm, as declarations; one family per module behind them.

`parameters` counts the learnable arrays of MXNet, frozen gammas included; `gmacs` the multiply-adds of
convolutions and fully connected layers for one 112×112 image. Both are for the default embedding size.
"""

from __future__ import annotations

from arcterm_registry import Backbone, Option


def _embedding_size(default: int = 512) -> Option:
    return Option(
        name="embedding_size",
        type=int,
        default=default,
        help="length of the embedding",
        low=32,
        high=4096,
    )


_DROPOUT = Option(
    name="dropout",
    type=float,
    default=0.4,
    help="share of the last features that is dropped in training",
    low=0.0,
    high=1.0,
    open_high=True,
)


def _resnet(depth: int, parameters: int, gmacs: float) -> Backbone:
    return Backbone(
        summary=f"LResNet{depth}E-IR: improved residual units, {depth} layers",
        factory=f"arcterm.backbones.resnet:r{depth}",
        parameters=parameters,
        gmacs=gmacs,
        options=(
            _embedding_size(),
            _DROPOUT,
        ),
    )


r18 = _resnet(18, 24_025_600, 2.61)
r34 = _resnet(34, 34_139_328, 4.46)
r50 = _resnet(50, 43_590_848, 6.31)
r100 = _resnet(100, 65_156_160, 12.09)

y1 = Backbone(
    summary="MobileFaceNet: inverted residuals and a global depthwise convolution, for phones",
    factory="arcterm.backbones.mobilefacenet:y1",
    parameters=1_201_024,
    gmacs=0.2212,
    options=(_embedding_size(),),
)

tiny = Backbone(
    summary="A small network for the demo and tests: hundreds of images a second on two CPU cores",
    factory="arcterm.backbones.small:tiny",
    parameters=559_520,
    gmacs=0.00836,
    embedding_size=128,
    options=(_embedding_size(128), _DROPOUT),
)
