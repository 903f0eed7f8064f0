"""LResNet-E-IR: InsightFace's residual networks of 2018 (stem L, unit v3, head E).

Layer names are those of the IResNet that PyTorch ports share, so that their state dicts fit.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from arcterm.backbones.layers import embedding_norm, xavier_out

_EPS = 2e-5


class Unit(nn.Module):
    """BN → 3×3 → BN → PReLU → 3×3/stride → BN, plus the shortcut; no activation after the sum.

    (N, `inputs`, H, W) → (N, `outputs`, H/stride, W/stride). The first unit of a stage projects its shortcut,
    even where the number of channels stays.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=_EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=_EPS)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=_EPS)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs, eps=_EPS),
            )
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the unit's output."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        total: Tensor = self.bn3(self.conv2(y)) + self.downsample(x)
        return total


class IResNet(nn.Module):
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`)."""

    def __init__(self, units: tuple[int, int, int, int], embedding_size: int, dropout: float) -> None:
        super().__init__()
        channels = (64, 64, 128, 256, 512)
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=_EPS)
        self.prelu = nn.PReLU(64)
        stages = [_stage(c_in, c_out, n) for (c_in, c_out), n in zip(pairwise(channels), units, strict=True)]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(512, eps=_EPS)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(512 * 7 * 7, embedding_size)
        self.features = embedding_norm(embedding_size, _EPS)
        xavier_out(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) → (N, D)."""
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(self.bn2(x))
        embeddings: Tensor = self.features(self.fc(x.flatten(1)))
        return embeddings


def _stage(inputs: int, outputs: int, units: int) -> nn.Sequential:
    first = Unit(inputs, outputs, 2)
    return nn.Sequential(first, *(Unit(outputs, outputs, 1) for _ in range(units - 1)))


def r18(embedding_size: int = 512, dropout: float = 0.4) -> IResNet:
    """LResNet18E-IR."""
    return IResNet((2, 2, 2, 2), embedding_size, dropout)


def r34(embedding_size: int = 512, dropout: float = 0.4) -> IResNet:
    """LResNet34E-IR."""
    return IResNet((3, 4, 6, 3), embedding_size, dropout)


def r50(embedding_size: int = 512, dropout: float = 0.4) -> IResNet:
    """LResNet50E-IR; its units are those of r34, not bottlenecks."""
    return IResNet((3, 4, 14, 3), embedding_size, dropout)


def r100(embedding_size: int = 512, dropout: float = 0.4) -> IResNet:
    """LResNet100E-IR."""
    return IResNet((3, 13, 30, 3), embedding_size, dropout)
