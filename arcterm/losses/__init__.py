"""The losses that come with arcterm, as declarations; the formulas are in the modules beside."""

from __future__ import annotations

import math
from typing import Any

from arcterm_registry import Loss, Option


def _number(name: str, default: float | None, help: str, low: float, high: float, **opened: Any) -> Option:
    return Option(name=name, type=float, default=default, help=help, low=low, high=high, **opened)


def _choice(name: str, help: str, *choices: str) -> Option:
    return Option(name=name, type=str, default=choices[0], choices=choices, help=help)


def _scale(default: float | None = 64.0) -> Option:
    return _number("scale", default, "factor s of all logits", 0.0, 1024.0, open_low=True)


def _added(default: float) -> Option:
    return _number("margin", default, "subtracted from the target cosine", 0.0, 1.0)


def _angular(default: float) -> Option:
    return _number("margin", default, "added to the target angle, radians", 0.0, math.pi / 2, open_high=True)


def _gradient(default: str = "exact") -> Option:
    other = {"exact": "detached", "detached": "exact"}[default]
    return _choice(
        "gradient", "exact, or detached: the margin's slope counts as 1 in the backward pass", default, other
    )


def _base(margins: str) -> Option:
    return _choice("base", f"the margin that it is built on; {margins}", "arcface", "cosface")


_BOTH = ("margin", "scale")

_fallback = _choice(
    "fallback",
    "where angle + margin passes 180 degrees: a falling line, the turned-up cosine, or the cosine of 180",
    "line",
    "none",
    "clip",
)
_easy = Option(
    name="easy_margin",
    type=bool,
    default=False,
    help="apply the margin only where the target angle is below 90 degrees",
)

softmax = Loss(
    summary="Softmax: plain products with a bias per class, no margin",
    factory="arcterm.losses.plain:Softmax",
)

normface = Loss(
    summary="NormFace: scaled cosines, no margin",
    factory="arcterm.losses.plain:NormFace",
    paper="Wang et al. 2017, arXiv 1704.06369",
    scheduled=("scale",),
    options=(_scale(),),
)

sphereface = Loss(
    summary="SphereFace: target angle multiplied, on raw feature norms, with an annealed share of softmax",
    factory="arcterm.losses.spheres:SphereFace",
    paper="Liu et al. 2017, arXiv 1704.08063",
    scheduled=("margin",),
    options=(
        Option(
            name="margin",
            type=float,
            default=4.0,
            choices=(1.0, 2.0, 3.0, 4.0),
            help="factor of the target angle",
        ),
        _number("start", 1000.0, "share λ of the plain cosine at first", 0.0, 1e6),
        _number("floor", 5.0, "share λ that it falls to", 0.0, 1e6),
        _number("gamma", None, "how fast λ falls; 0.12, or 0.06 above 20,000 classes", 0.0, 1e3),
        _number("power", 1.0, "exponent of the fall", 0.0, 10.0),
        Option(
            name="freeze",
            type=int,
            default=None,
            low=0,
            help="steps before λ falls; 0, or 5,000 above 20,000 classes",
        ),
    ),
)

sphereface_r = Loss(
    summary="SphereFace-R: target angle multiplied by any number, on a fixed scale",
    factory="arcterm.losses.spheres:SphereFaceR",
    paper="Liu et al. 2022, arXiv 2109.05565",
    scheduled=_BOTH,
    options=(
        _number("margin", 1.7, "factor of the target angle", 1.0, 4.0),
        _scale(30.0),
        _gradient("detached"),
    ),
)

cosface = Loss(
    summary="CosFace (AM-Softmax): margin subtracted from the target cosine",
    factory="arcterm.losses.margins:CosFace",
    paper="Wang et al. 2018, arXiv 1801.09414",
    scheduled=_BOTH,
    options=(_added(0.35), _scale()),
)

arcface = Loss(
    summary="ArcFace: margin added to the target angle",
    factory="arcterm.losses.margins:ArcFace",
    paper="Deng et al. 2019, arXiv 1801.07698",
    scheduled=_BOTH,
    options=(_angular(0.5), _scale(), _easy, _fallback, _gradient()),
)

combined = Loss(
    summary="Combined margin: cos(m1·θ + m2) - m3, all three at once",
    factory="arcterm.losses.margins:Combined",
    paper="Deng et al. 2019, arXiv 1801.07698, section 3",
    scheduled=("scale",),
    options=(
        _number("m1", 1.0, "factor of the target angle", 0.0, 4.0, open_low=True),
        _number("m2", 0.3, "added to the target angle, radians", 0.0, math.pi / 2, open_high=True),
        _number("m3", 0.2, "subtracted from the target cosine", 0.0, 1.0),
        _scale(),
        _fallback,
        _gradient(),
    ),
)

li_arc = Loss(
    summary="Li-ArcFace (AirFace): logits linear in the angle",
    factory="arcterm.losses.margins:LiArc",
    paper="Li et al. 2019, arXiv 1907.12256",
    scheduled=_BOTH,
    options=(
        _angular(0.45),
        _scale(),
        _choice("others", "other logits: linear in the angle, or plain cosines", "linear", "cosine"),
    ),
)

circle = Loss(
    summary="Circle loss with class weights: each logit weighted by how far it is from its goal",
    factory="arcterm.losses.margins:Circle",
    paper="Sun et al. 2020, arXiv 2002.10857",
    scheduled=_BOTH,
    options=(_number("margin", 0.25, "relaxation of both goals", 0.0, 1.0), _scale(256.0)),
)

curricularface = Loss(
    summary="CurricularFace: ArcFace whose hard other classes weigh more as training goes on",
    factory="arcterm.losses.hard:CurricularFace",
    paper="Huang et al. 2020, arXiv 2004.00288",
    scheduled=_BOTH,
    options=(
        _angular(0.5),
        _scale(),
        _number("alpha", 0.01, "weight of a step in the running mean of target cosines", 0.0, 1.0),
    ),
)

mv_softmax = Loss(
    summary="MV-Softmax: hard other classes weigh more by a fixed factor",
    factory="arcterm.losses.hard:MVSoftmax",
    paper="Wang et al. 2020, arXiv 1912.00833",
    scheduled=_BOTH,
    options=(
        _number("margin", 0.35, "of the base: on the cosine or in radians", 0.0, 1.0),
        _scale(32.0),
        _number("tau", 1.12, "factor of hard classes", 1.0, 2.0),
        _choice("base", "the margin that it is built on", "cosface", "arcface"),
    ),
)

arcneg = Loss(
    summary="ArcNegFace: ArcFace with other classes weighed by how near the target they are",
    factory="arcterm.losses.hard:ArcNeg",
    paper="Liu et al. 2019, Towards Flops-constrained Face Recognition, arXiv 1909.00632",
    scheduled=_BOTH,
    options=(
        _angular(0.5),
        _scale(),
        _number("alpha", 1.2, "largest weight of another class", 0.0, 4.0, open_low=True),
        _number("sigma", 2.0, "width of the weight", 0.0, 100.0, open_low=True),
    ),
)

npc = Loss(
    summary="NPCFace: the margin grows with an image's hard other classes, which weigh more too",
    factory="arcterm.losses.hard:NPC",
    paper="Zeng et al. 2020, arXiv 2007.10172",
    scheduled=("scale",),
    options=(
        _number("m0", 0.4, "margin without hard classes, radians", 0.0, math.pi / 2),
        _number("m1", 0.2, "margin added per mean hard cosine, radians", 0.0, math.pi / 2),
        _number("tau", 1.1, "factor of hard classes", 0.0, 2.0),
        _number("a", 0.2, "added to hard classes' cosines", 0.0, 1.0),
        _scale(),
    ),
)

adacos = Loss(
    summary="AdaCos: no margin, the scale follows the training; nothing to set",
    factory="arcterm.losses.adaptive:AdaCos",
    paper="Zhang et al. 2019, arXiv 1905.00292",
)

adaptiveface = Loss(
    summary="AdaptiveFace (AdaM-Softmax): each class learns a margin of its own",
    factory="arcterm.losses.adaptive:AdaptiveFace",
    paper="Liu et al. 2019, CVPR, AdaptiveFace: Adaptive Margin and Sampling for Face Recognition",
    scheduled=("scale",),
    options=(
        _scale(32.0),
        _number("weight", 70.0, "weight λ of the wish for large margins", 0.0, 1e4),
    ),
)

adaface = Loss(
    summary="AdaFace: the margin's kind follows the image's quality, read off the feature norm",
    factory="arcterm.losses.adaptive:AdaFace",
    paper="Kim et al. 2022, arXiv 2204.00964",
    scheduled=_BOTH,
    options=(
        _number("margin", 0.4, "margin m", 0.0, 1.0),
        _scale(),
        _number("h", 0.333, "how strongly the quality counts", 0.0, 10.0),
        _number("alpha", 0.01, "weight of a step in the running mean and deviation of norms", 0.0, 1.0),
    ),
)

magface = Loss(
    summary="MagFace: larger feature norms get larger margins, so that the norm measures quality",
    factory="arcterm.losses.adaptive:MagFace",
    check="arcterm.losses.checks:magface",
    paper="Meng et al. 2021, arXiv 2103.06627",
    scheduled=("scale",),
    options=(
        _number("low_margin", 0.45, "margin at the low norm, radians", 0.0, math.pi / 2),
        _number("high_margin", 0.8, "margin at the high norm, radians", 0.0, math.pi / 2),
        _number("low_norm", 10.0, "feature norms below count as this", 0.0, 1e4, open_low=True),
        _number("high_norm", 110.0, "feature norms above count as this", 0.0, 1e4, open_low=True),
        _number("weight", 35.0, "weight λ of the wish for large norms", 0.0, 1e4),
        _scale(),
        Option(
            name="easy_margin",
            type=bool,
            default=True,
            help="apply the margin only where the target angle is below 90 degrees",
        ),
    ),
)

elasticface = Loss(
    summary="ElasticFace: a margin drawn anew for every image",
    factory="arcterm.losses.adaptive:ElasticFace",
    paper="Boutros et al. 2022, arXiv 2109.09416",
    scheduled=_BOTH,
    options=(
        _number("margin", None, "mean margin; 0.5 on arcface, 0.35 on cosface", 0.0, 1.5),
        _number("sigma", 0.05, "standard deviation of the margin", 0.0, 1.0),
        _scale(),
        _base("0.5 or 0.35 is its mean"),
        Option(
            name="plus",
            type=bool,
            default=False,
            help="give the larger margins to the images with the smaller target cosines",
        ),
    ),
)

subcenter = Loss(
    summary="Sub-center: several centres a class, over the margin of another loss",
    factory="arcterm.losses.centers:sub_center",
    check="arcterm.losses.checks:sub_center",
    paper="Deng et al. 2020, ECCV, Sub-center ArcFace",
    scheduled=_BOTH,
    options=(
        Option(name="centers", type=int, default=3, low=1, high=16, help="centres K of each class"),
        Option(
            name="over", type=str, default="arcface", help="the loss whose margin is applied, by its name"
        ),
        _number("margin", None, "its margin; that loss's own default", 0.0, 4.0),
        _scale(None),
    ),
)

sphereface2 = Loss(
    summary="SphereFace2: a binary decision for each class",
    factory="arcterm.losses.binary:SphereFace2",
    paper="Wen et al. 2022, arXiv 2108.01513",
    scheduled=_BOTH,
    options=(
        _number("margin", 0.4, "distance that positives and negatives keep from the border", 0.0, 1.0),
        _scale(40.0),
        _number("alpha", 0.7, "weight of the positive decision", 0.0, 1.0, open_low=True, open_high=True),
        _number("t", 3.0, "exponent that stretches the cosines", 1.0, 10.0),
        _number("weight", 50.0, "factor of the whole loss", 0.0, 1e4, open_low=True),
        _gradient("detached"),
    ),
)

uniface = Loss(
    summary="UniFace: one threshold for all pairs of image and class",
    factory="arcterm.losses.binary:UniFace",
    paper="Zhou et al. 2023, ICCV, UniFace: Unified Cross-Entropy Loss for Deep Face Recognition",
    scheduled=_BOTH,
    options=(
        _added(0.4),
        _scale(),
        _number("weight", 1.0, "weight λ of the other classes", 0.0, 1e3, open_low=True),
    ),
)

triplet = Loss(
    summary="Triplet: anchor, positive and negative images, mined with the current weights",
    factory="arcterm.losses.tuples:Triplet",
    feeding="arcterm.losses.feeds:triplet",
    paper="Schroff et al. 2015, arXiv 1503.03832",
    form="tuples",
    options=(
        _number("margin", 0.3, "wanted gap α of squared distances", 0.0, 1.0),
        _choice(
            "mining",
            "semi-hard: one random semi-hard negative per positive pair in a bag; "
            "batch-hard: the hardest positive and negative in the batch",
            "semi-hard",
            "batch-hard",
        ),
        Option(name="bag", type=int, default=3600, low=6, help="images embedded per round of mining"),
        Option(name="images_per_identity", type=int, default=5, low=2, help="images of a person in a bag"),
        _number("max_ap", 0.0, "leave out positives that are farther apart; 0 leaves out none", 0.0, 4.0),
    ),
)
