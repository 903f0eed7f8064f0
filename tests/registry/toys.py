"""Plug-ins that are wrong in one way each, and the sound ones that they are made from."""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace

import numpy as np
import torch
from arcterm_registry import Backbone, Dataset, Loss, Option, Preprocess
from arcterm_registry.contracts import DatasetFacts, Feeding, Margin, Record, TupleLoss, TupleScores
from torch import nn

# ---------------------------------------------------------------- backbones


class Net(nn.Module):
    """(N, 3, 16, 16) → (N, 8)."""

    def __init__(self, embedding_size=8):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 8 * 8, embedding_size)

    def seen(self, x):
        return self.norm(self.conv(x)).relu()

    def forward(self, x):
        return self.fc(self.seen(x).flatten(1))


class OddShape(Net):
    def forward(self, x):
        return super().forward(x)[:, :, None]


class Squeezed(Net):
    def forward(self, x):
        return super().forward(x).squeeze()


class Several(Net):
    def forward(self, x):
        return super().forward(x), x


class Double(Net):
    def forward(self, x):
        return super().forward(x).double()


class OnItsOwnDevice(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("version", torch.zeros(1, device="cpu"))


class BlackIsNothing(Net):
    def forward(self, x):
        spread = x.std(dim=(1, 2, 3), keepdim=True)
        return super().forward(x / spread)


class Unused(Net):
    def __init__(self):
        super().__init__()
        self.spare = nn.Parameter(torch.zeros(0))


class EndlessSlope(Net):
    def forward(self, x):
        out = super().forward(x)
        return out + (out - out.detach()).sqrt() * 0


class Unseeded(Net):
    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.fc.bias.fill_(random.random())


class InPlace(Net):
    def forward(self, x):
        return super().forward(x.mul_(0.5))


class Shaky(Net):
    def forward(self, x):
        out = super().forward(x)
        return out * (1 + 1e-6 * torch.rand_like(out))


class AmongOthers(Net):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)


class Viewed(Net):
    def forward(self, x):
        return self.fc(self.seen(x).view(len(x), -1))


class Forgetful(Net):
    def __init__(self):
        super().__init__()
        self.shift = torch.randn(8)

    def forward(self, x):
        return super().forward(x) + self.shift


class Tied(Net):
    def __init__(self):
        super().__init__()
        self.again = self.fc


class Coarse(Net):
    def forward(self, x):
        return super().forward(x) + 1000 - 1000


class Compiled(Net):
    def forward(self, x):
        out = super().forward(x)
        return out * 2 if torch.compiler.is_dynamo_compiling() else out


class FixedBatch(Net):
    def forward(self, x):
        return torch.stack([row * 1 for row in super().forward(x)])


def choosy(style="plain"):
    """Builds with two of its styles."""
    if style not in ("plain", "other"):
        raise TypeError("no such style")
    return Net()


def stubborn(embedding_size=8):
    """Builds at one size whatever is asked."""
    return Net(8)


def nothing():
    """No network at all."""
    return "a network"


def leaves():
    """Ends the process that builds it."""
    raise SystemExit(3)


MADE = {"parameters": 112 + 8 + 2056, "gmacs": 8.96e-6}


def backbone(factory, **facts):
    """The declaration of a toy network."""
    told = {"summary": "a toy", "input_size": (16, 16), "embedding_size": 8, **MADE, **facts}
    return Backbone(factory=f"{__name__}:{factory}", **told)


def _option(**facts):
    return Option(**{"name": "style", "type": str, "default": "plain", "help": "its style", **facts})


SIZE = Option(name="embedding_size", type=int, default=8, low=4, high=32, help="length")

# what is wrong → (the one check that fails or warns, its outcome, a part of what it says, the declaration)
BACKBONES = {
    "no summary": ("declaration", "failed", "summary is empty", backbone("Net", summary="")),
    "two lines": ("declaration", "failed", "several lines", backbone("Net", summary="a\nb")),
    "default outside": (
        "declaration",
        "failed",
        "refuses its own default",
        backbone("choosy", options=(_option(choices=("other",)),)),
    ),
    "mirrored pixels": (
        "preprocess",
        "failed",
        "no scaling of pixels",
        backbone("Net", preprocess=Preprocess(scale=-1 / 128)),
    ),
    "raw pixels": (
        "preprocess",
        "warning",
        "0 … 255",
        backbone("Net", preprocess=Preprocess(mean=0, scale=1)),
    ),
    "no network": ("build", "failed", "gives str, not a torch.nn.Module", backbone("nothing")),
    "exits": ("build", "failed", "SystemExit: 3", backbone("leaves")),
    "odd shape": ("shape", "failed", "give (1, 8, 1), not (1, 8)", backbone("OddShape")),
    "squeezed": ("shape", "failed", "1 images in evaluation give (8,)", backbone("Squeezed")),
    "another size": ("shape", "failed", "declared embedding_size", backbone("Net", embedding_size=9)),
    "several": ("shape", "failed", "give tuple", backbone("Several")),
    "double": ("shape", "failed", "float64", backbone("Double")),
    "own device": ("meta", "failed", "version is not on the meta device", backbone("OnItsOwnDevice")),
    "parameters": ("counts", "failed", "declare parameters=2_176", backbone("Net", parameters=2175)),
    "multiply-adds": ("counts", "failed", "gmacs=8.96e-06", backbone("Net", gmacs=9.2e-6)),
    "black": ("finite", "failed", "of black is not finite", backbone("BlackIsNothing")),
    "unused": ("backward", "failed", "spare gets no gradient", backbone("Unused")),
    "endless slope": ("backward", "failed", "not finite", backbone("EndlessSlope")),
    "unseeded": ("seed", "failed", "fc.bias differs", backbone("Unseeded")),
    "in place": ("repeat", "failed", "changes its input", backbone("InPlace")),
    "shaky": ("repeat", "failed", "self.training", backbone("Shaky")),
    "among others": ("rows", "warning", "with the other images of its batch", backbone("AmongOthers")),
    "viewed": ("channels-last", "failed", "reshape", backbone("Viewed")),
    "forgetful": ("state-dict", "failed", "persistent buffer", backbone("Forgetful")),
    "tied": ("state-dict", "failed", "share memory", backbone("Tied")),
    "coarse": ("bf16", "failed", "the cosine", backbone("Coarse")),
    "choosy": (
        "options",
        "failed",
        "with style=fancy it fails: TypeError",
        backbone("choosy", options=(_option(choices=("plain", "fancy")),)),
    ),
    "stubborn": (
        "options",
        "failed",
        "with embedding_size=4 2 images give (2, 8)",
        backbone("stubborn", options=(SIZE,)),
    ),
}
LONG = {
    "otherwise compiled": ("compiled", "compiled it differs", backbone("Compiled")),
    "fixed batch": ("onnx", "with a free batch size", backbone("FixedBatch")),
}
NET = backbone("Net", options=(SIZE,))

# ---------------------------------------------------------------- losses


class Sound(Margin):
    """Subtracts a margin; remembers a mean that it uses."""

    def __init__(self, margin=0.3):
        self.margin = margin

    def target(self, t, norm, step):
        return t - self.margin


class Negative(Sound):
    scale = -1.0


class Column(Sound):
    def target(self, t, norm, step):
        return t[:, None] - self.margin


class BareAngle(Sound):
    def target(self, t, norm, step):
        return (t.clamp(-1, 1).acos() + self.margin).cos()


class Severed(Sound):
    def target(self, t, norm, step):
        return t.detach() - self.margin


class Overwritten(Sound):
    def target(self, t, norm, step):
        with torch.no_grad():
            t.sub_(self.margin)
        return t * 1


class Crowd(Sound):
    def negatives(self, tile, t):
        return tile - tile.mean(1, keepdim=True)


class Fickle(Sound):
    calls = 0

    def negatives(self, tile, t):
        self.calls += 1
        return tile * self.calls


class Summed(Sound):
    def survey(self, tile, t):
        return (tile.softmax(1),)


class Listed(Sound):
    def survey(self, tile, t):
        return [tile]


class ShortNorms(Sound):
    def penalty(self, norm):
        return (norm - 11).log().clamp(-1, 1) * 1e-3


class AtSeven(Sound):
    def penalty(self, norm):
        return 1e-6 / (norm - norm.new_tensor(49.0).add(1e-10).sqrt())


class Bump(Sound):
    def target(self, t, norm, step):
        return t - self.margin + 0.3 * (8 * t).sin()


class Chance(Sound):
    def target(self, t, norm, step):
        return t - self.margin - 1e-5 * torch.rand_like(t)


class Diary(Sound):
    steps = 0

    def observe(self, t, norm, step, sums):
        self.steps += 1

    def target(self, t, norm, step):
        return t - self.margin - 1e-3 * self.steps


class Faint(Sound):
    scale = 1e-3


class Shared(Sound):
    def __init__(self, share=1.0):
        super().__init__()
        self.share = share

    def target(self, t, norm, step):
        return t - self.margin / self.share


class Settled(Sound):
    """Keeps its margin, and works with what it made of it before."""

    def __init__(self, margin=0.3):
        super().__init__(margin)
        self._drop = margin

    def target(self, t, norm, step):
        return t - self._drop


class Kept(Sound, nn.Module):
    """Sound: what it remembers is in a buffer, and it learns a number."""

    def __init__(self):
        nn.Module.__init__(self)
        Sound.__init__(self)
        self.register_buffer("mean", torch.zeros(()))
        self.factor = nn.Parameter(torch.ones(()))

    def survey(self, tile, t):
        return ((tile > t).to(tile.dtype),)

    def observe(self, t, norm, step, sums):
        self.mean.lerp_(sums[0].mean(), 0.1)

    def negatives(self, tile, t):
        return tile * self.factor + 0.01 * self.mean


def loss(factory, **facts):
    """The declaration of a toy loss."""
    return Loss(**{"summary": "a toy", "factory": f"{__name__}:{factory}", **facts})


_MARGIN = Option(name="margin", type=float, default=0.3, low=0, high=1, help="subtracted")
_SHARE = Option(name="share", type=float, default=1.0, low=0, high=1, help="divides")

LOSSES = {
    "no loss": ("build", "failed", "gives str, not a contracts.Margin", loss("nothing")),
    "negative scale": ("build", "failed", "scale is -1.0", loss("Negative")),
    "column": ("target", "failed", "target() gives (11, 1) for (11,)", loss("Column")),
    "bare angle": ("target", "failed", "slope of target() is not finite at cosine -1", loss("BareAngle")),
    "severed": ("target", "failed", "no gradient", loss("Severed")),
    "overwritten": ("target", "failed", "changes the cosines", loss("Overwritten")),
    "crowd": ("negatives", "failed", "be elementwise", loss("Crowd")),
    "fickle": ("negatives", "failed", "other values when it is called again", loss("Fickle")),
    "summed": ("survey", "failed", "be elementwise", loss("Summed")),
    "listed": ("survey", "failed", "no tuple", loss("Listed")),
    "short norms": ("steps", "failed", "the loss of step 1 is not finite", loss("ShortNorms")),
    "at seven": ("edges", "failed", "the loss is not finite", loss("AtSeven")),
    "bump": ("falling", "warning", "the target logit rises", loss("Bump")),
    "chance": ("seed", "failed", "different losses", loss("Chance")),
    "diary": ("state-dict", "failed", "registered buffers", loss("Diary")),
    "faint": ("learns", "failed", "in 100 steps", loss("Faint")),
    "settled": (
        "scheduled",
        "failed",
        "'margin' of what it made was set and nothing changed",
        loss("Settled", options=(_MARGIN,), scheduled=("margin",)),
    ),
    "shared": (
        "options",
        "failed",
        "with share=0.0 it fails: ZeroDivisionError",
        loss("Shared", options=(_SHARE,)),
    ),
}


class Pairwise(TupleLoss):
    """Squared distance to the positive less that to the negative, in triplets."""

    def __init__(self, margin=0.5):
        self.margin = margin

    def distances(self, embeddings):
        unit = embeddings * embeddings.square().sum(1, keepdim=True).add(1e-10).rsqrt()
        anchor, positive, negative = unit.chunk(3)
        return (anchor - positive).square().sum(1), (anchor - negative).square().sum(1)

    def score(self, embeddings, labels, step):
        near, far = self.distances(embeddings)
        return TupleScores((near - far + self.margin).relu(), near, far)


class Likely(Pairwise):
    def admits(self, positive, negative):
        return (negative - positive).sigmoid()


class OneLoss(Pairwise):
    def score(self, embeddings, labels, step):
        found = super().score(embeddings, labels, step)
        return found._replace(losses=found.losses.mean())


class RawDistances(Pairwise):
    def score(self, embeddings, labels, step):
        found = super().score(embeddings, labels, step)
        return found._replace(positive=found.positive * 100)


class Rooted(Pairwise):
    def score(self, embeddings, labels, step):
        near, far = self.distances(embeddings)
        return TupleScores((near.sqrt() - far.sqrt() + self.margin).relu(), near, far)


class Noisy(Pairwise):
    def score(self, embeddings, labels, step):
        found = super().score(embeddings, labels, step)
        return found._replace(losses=found.losses + torch.rand_like(found.losses) * 1e-6)


class Unmoved(Pairwise):
    def score(self, embeddings, labels, step):
        found = super().score(embeddings, labels, step)
        return found._replace(losses=found.losses * 1e-9 + 1)


class Halved(Pairwise):
    def score(self, embeddings, labels, step):
        found = super().score(embeddings, labels, step)
        return found._replace(losses=found.losses / self.margin)


def triplets(**_):
    """Mined triplets."""
    return Feeding(kind="triplets", images_per_identity=5, bag=100)


def lonely(**_):
    """One image of each person."""
    return Feeding(kind="triplets", images_per_identity=1, bag=100)


def tuples(factory, feeding="triplets", **facts):
    """The declaration of a toy loss over embeddings alone."""
    return loss(factory, form="tuples", feeding=feeding and f"{__name__}:{feeding}", **facts)


_WIDE = Option(name="margin", type=float, default=0.5, low=0, high=1, help="margin")

TUPLES = {
    "no feeding": ("feeding", "failed", "declares no feeding", tuples("Pairwise", feeding="")),
    "lonely": ("feeding", "failed", "a person has one image", tuples("Pairwise", feeding="lonely")),
    "no loss": ("build", "failed", "not a contracts.TupleLoss", tuples("nothing")),
    "likely": ("admits", "failed", "torch.float32 (5, 7)", tuples("Likely")),
    "one loss": ("score", "failed", "one number a tuple", tuples("OneLoss")),
    "raw distances": ("score", "failed", "0 … 4", tuples("RawDistances")),
    "rooted": ("edges", "failed", "slope of sqrt(0)", tuples("Rooted")),
    "noisy": ("seed", "failed", "different losses", tuples("Noisy")),
    "unmoved": ("learns", "failed", "the loss went from 1 to 1", tuples("Unmoved")),
    "halved": ("options", "failed", "with margin=0.0", tuples("Halved", options=(_WIDE,))),
}

# ---------------------------------------------------------------- data sets


class Faces:
    """Twelve pictures of four people, and four pairs; `fault` names what is wrong."""

    opened = 0

    def __init__(self, fault=""):
        self.fault = fault
        Faces.opened += 1
        draw = np.random.default_rng(Faces.opened if fault == "reshuffled" else 0)
        self.pictures = draw.integers(0, 255, (20, 8, 8, 3), dtype=np.uint8)
        self.people = np.arange(12) % 4
        self.classes = {"gap": 5}.get(fault, 4)
        same = np.array([True, True, True, True] if fault == "one kind" else [True, False, True, False])
        pictures = list(self.pictures[12 : 19 if fault == "odd" else 20])
        pairs = SimpleNamespace(images=pictures, same=same)
        self.verification = {} if fault == "unverified" else {"pairs": pairs}

    def __len__(self):
        return 12

    def __getitem__(self, index):
        picture, label, source = self.pictures[index], int(self.people[index]), f"faces {index}"
        if self.fault == "label outside" and index == 11:
            label = 4
        if self.fault == "nameless":
            source = ""
        if self.fault == "one name":
            source = "faces"
        if self.fault == "small" and index == 5:
            picture = picture[:4]
        if self.fault == "torn" and index == 5:
            picture = b"\xff\xd8\xff\xe0 no more"
        if self.fault == "float" and index == 5:
            picture = picture / 255
        if self.fault == "shared position" and threading.current_thread() is not threading.main_thread():
            picture = self.pictures[index - 1]
        return (picture, label) if self.fault == "pair" else Record(picture, label, source)

    def labels(self, progress):
        return self.people[::-1] if self.fault == "turned" else self.people


def facts(fault=""):
    """What is said of `Faces` beforehand."""
    Faces.opened += fault == "unsteady"
    return DatasetFacts(
        images=13 if fault == "one more" else 12,
        classes={"alone": 1, "gap": 5}.get(fault, 4),
        image_size=(8, 8),
        fingerprint=str(Faces.opened) if fault == "unsteady" else "" if fault == "unmarked" else "f",
        verification={} if fault == "unverified" else {"pairs": 3 if fault == "fewer pairs" else 4},
    )


FACES = Dataset(
    summary="a toy",
    factory=f"{__name__}:Faces",
    inspect=f"{__name__}:facts",
    takes_path=False,
    options=(Option(name="fault", type=str, default="", help="what is wrong"),),
)
DATASETS = {
    "alone": ("inspect", "failed", "counts 1 classes"),
    "unmarked": ("inspect", "failed", "fingerprint is empty"),
    "unsteady": ("inspect", "failed", "second time"),
    "one more": ("contents", "failed", "its length is 12 and inspect() says 13"),
    "label outside": ("records", "failed", "faces 11: label 4 is outside the 4 classes"),
    "nameless": ("records", "failed", "record 0 has no source"),
    "one name": ("records", "failed", "two records have one source"),
    "pair": ("records", "failed", "record 0 is tuple"),
    "small": ("images", "failed", "faces 5: the image is 8×4, not 8×8"),
    "torn": ("images", "failed", "faces 5: these 12 bytes are no whole image"),
    "float": ("images", "failed", "faces 5: an array float64"),
    "turned": ("labels", "failed", "labels() says 3 of record 0, which has 0"),
    "gap": ("labels", "warning", "1 of 5 classes have no image"),
    "reshuffled": ("repeat", "failed", "another one when it is read again"),
    "shared position": ("threads", "failed", "read by several threads"),
    "one kind": ("verification", "failed", "pairs of one kind only"),
    "odd": ("verification", "failed", "7 images for 4 pairs"),
    "fewer pairs": ("verification", "failed", "4 pairs and inspect() says 3"),
    "unverified": ("verification", "warning", "no verification set"),
}
