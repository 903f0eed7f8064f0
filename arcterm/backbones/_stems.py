"""The stem that DPN and DenseNet share."""

from __future__ import annotations

from torch import Tensor, nn

from arcterm.backbones.resnet import Unit

_EPS = 2e-5


class Stem(nn.Module):
    """Normalised images (N, 3, H, W) → (N, `outputs`, H/2, W/2), or with `input` 0 (N, `outputs`, H/4, W/4).

    `input` 1 has a convolution at full size, of at most 64 channels, and a residual unit that halves it;
    `input` 0 has what ImageNet has: 7×7/2 of `channels` channels and a max pool.
    """

    def __init__(self, channels: int, input: int) -> None:
        super().__init__()
        self.outputs = channels if input == 0 else min(channels, 64)
        self.conv0 = (
            nn.Conv2d(3, self.outputs, 7, 2, padding=3, bias=False)
            if input == 0
            else nn.Conv2d(3, self.outputs, 3, padding=1, bias=False)
        )
        self.bn0 = nn.BatchNorm2d(self.outputs, eps=_EPS)
        self.relu0 = nn.PReLU(self.outputs)
        self.reduce = nn.MaxPool2d(3, 2, padding=1) if input == 0 else Unit(self.outputs, self.outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.reduce(self.relu0(self.bn0(self.conv0(x))))
        return first
