"""Networks as other trainers build them: their layers, their names, their order; for weights to import.

arcface_torch's IResNet, MobileFaceNet and ViT, and AdaFace's IR network, all with torch's eps of 1e-5 where
nothing else is said.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class Arcface(nn.Module):
    """``iresnet18`` of arcface_torch: the first unit of every stage has a stride and a projection."""

    class Unit(nn.Module):
        def __init__(self, inputs: int, outputs: int, first: bool) -> None:
            super().__init__()
            stride = 2 if first else 1
            self.bn1 = nn.BatchNorm2d(inputs)
            self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.prelu = nn.PReLU(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
            self.downsample = (
                nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
                if first
                else None
            )

        def forward(self, x: Tensor) -> Tensor:
            y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
            return self.bn3(self.conv2(y)) + (x if self.downsample is None else self.downsample(x))

    def __init__(self, depth: int = 18, size: int = 512) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for number, (outputs, count) in enumerate(zip((64, 128, 256, 512), UNITS[depth], strict=True), 1):
            units = [self.Unit(inputs, outputs, True)]
            units += [self.Unit(outputs, outputs, False) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*units))
            inputs = outputs
        self.bn2 = nn.BatchNorm2d(512)
        self.dropout = nn.Dropout(0.0)
        self.fc = nn.Linear(512 * 7 * 7, size)
        self.features = nn.BatchNorm1d(size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.dropout(self.bn2(x).flatten(1))))


class Adaface(nn.Module):
    """``ir_18`` of AdaFace: the shortcut comes first; between equal widths it takes every other pixel."""

    class Unit(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.shortcut_layer = (
                nn.MaxPool2d(1, stride)
                if inputs == outputs
                else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            )
            self.res_layer = nn.Sequential(
                nn.BatchNorm2d(inputs),
                nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.PReLU(outputs),
                nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.res_layer(x) + self.shortcut_layer(x)

    def __init__(self, depth: int = 18) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * 7 * 7, 512),
            nn.BatchNorm1d(512, affine=False),
        )
        units, inputs = [], 64
        for outputs, count in zip((64, 128, 256, 512), UNITS[depth], strict=True):
            units += [self.Unit(inputs, outputs, 2)]
            units += [self.Unit(outputs, outputs, 1) for _ in range(count - 1)]
            inputs = outputs
        self.body = nn.Sequential(*units)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings; AdaFace's own forward then divides by their norm and returns that too."""
        return self.output_layer(self.body(self.input_layer(x)))


class Evolve(nn.Module):
    """face.evoLVe's and TreB1eN's ``IR`` and ``IR_SE``, 18 layers: no norm between convolution and PReLU."""

    class Excite(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
            self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            squeezed = self.fc1(x.mean((2, 3), keepdim=True)).clamp(min=0)
            return x * torch.sigmoid(self.fc2(squeezed))

    class Unit(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int, excite: bool) -> None:
            super().__init__()
            self.stride = stride
            if inputs != outputs:
                self.shortcut_layer = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )
            self.res_layer = nn.Sequential(
                nn.BatchNorm2d(inputs),
                nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
                nn.PReLU(outputs),
                nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                *([Evolve.Excite(outputs)] if excite else []),
            )

        def forward(self, x: Tensor) -> Tensor:
            other = getattr(self, "shortcut_layer", None)
            shortcut = x[:, :, :: self.stride, :: self.stride] if other is None else other(x)
            return self.res_layer(x) + shortcut

    def __init__(self, excite: bool) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(512 * 7 * 7, 512),
            nn.BatchNorm1d(512),
        )
        widths = [(64, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
        strides = [2, 1] * 4
        self.body = nn.Sequential(
            *(self.Unit(*width, stride, excite) for width, stride in zip(widths, strides, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.output_layer(self.body(self.input_layer(x)))


class Mbf(nn.Module):
    """``mbf`` of arcface_torch: MobileFaceNet with `scale` times the channels between blocks."""

    class Layers(nn.Module):
        """Something whose ``layers`` run one after the other."""

        def __init__(self, *layers: nn.Module) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    class Shortcut(Layers):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.layers(x)

    def __init__(self, scale: int = 2, counts: tuple[int, int, int, int] = (1, 4, 6, 2)) -> None:
        super().__init__()
        narrow, wide = 64 * scale, 128 * scale
        first = (
            self.conv(narrow, narrow, 3, 1, 64) if counts[0] == 1 else self.residuals(narrow, 128, counts[0])
        )
        self.layers = nn.ModuleList(
            [
                self.conv(3, narrow, 3, 2),
                first,
                self.Layers(*self.bottleneck(narrow, 128, narrow, 2)),
                self.residuals(narrow, 128, counts[1]),
                self.Layers(*self.bottleneck(narrow, 256, wide, 2)),
                self.residuals(wide, 256, counts[2]),
                self.Layers(*self.bottleneck(wide, 512, wide, 2)),
                self.residuals(wide, 256, counts[3]),
            ]
        )
        self.conv_sep = self.conv(wide, 512)
        self.features = self.Layers(
            self.linear(512, 512, 7, 1, 512),
            nn.Flatten(),
            nn.Linear(512, 512, bias=False),
            nn.BatchNorm1d(512),
        )

    def linear(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Layers:
        padding = 1 if kernel == 3 else 0
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        return self.Layers(conv, nn.BatchNorm2d(outputs))

    def conv(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Layers:
        return self.Layers(*self.linear(inputs, outputs, kernel, stride, groups).layers, nn.PReLU(outputs))

    def bottleneck(self, inputs: int, width: int, outputs: int, stride: int) -> list[nn.Module]:
        return [
            self.conv(inputs, width),
            self.conv(width, width, 3, stride, width),
            self.linear(width, outputs),
        ]

    def residuals(self, channels: int, width: int, count: int) -> Layers:
        return self.Layers(
            *(self.Shortcut(*self.bottleneck(channels, width, channels, 1)) for _ in range(count))
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.features(self.conv_sep(x))


class Foamliu(nn.Module):
    """foamliu's ``MobileFaceNet``: parts are made in another order than that in which they are used."""

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
            super().__init__()
            width = inputs * expand
            self.residual = stride == 1 and inputs == outputs
            self.conv = nn.Sequential(
                Foamliu.conv(inputs, width, 1, 1, 1),
                Foamliu.conv(width, width, 3, stride, width),
                nn.Conv2d(width, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x) if self.residual else self.conv(x)

    @staticmethod
    def conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
        layer = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.Hardtanh(0.0, 6.0))

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = self.conv(3, 64, 3, 2, 1)
        self.dw_conv = nn.Module()
        self.dw_conv.depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        self.dw_conv.pointwise = nn.Conv2d(64, 64, 1, bias=False)
        self.dw_conv.bn1 = nn.BatchNorm2d(64)
        self.dw_conv.bn2 = nn.BatchNorm2d(64)
        self.conv2 = self.conv(128, 512, 1, 1, 1)
        self.gdconv = nn.Module()
        self.gdconv.depthwise = nn.Conv2d(512, 512, 7, groups=512, bias=False)
        self.gdconv.bn = nn.BatchNorm2d(512)
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm2d(128)
        blocks, inputs = [], 64
        for expand, outputs, count, stride in (
            (2, 64, 5, 2),
            (4, 128, 1, 2),
            (2, 128, 6, 1),
            (4, 128, 1, 2),
            (2, 128, 2, 1),
        ):
            for i in range(count):
                blocks.append(self.Block(inputs, outputs, stride if i == 0 else 1, expand))
                inputs = outputs
        self.features = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        x = self.dw_conv.bn1(self.dw_conv.depthwise(x)).clamp(min=0)
        x = self.dw_conv.bn2(self.dw_conv.pointwise(x)).clamp(min=0)
        x = self.conv2(self.features(x))
        x = self.gdconv.bn(self.gdconv.depthwise(x))
        return self.bn(self.conv3(x)).flatten(1)


class Vit(nn.Module):
    """``vit_t`` of arcface_torch in evaluation: 144 patches of 9×9, no class token; only the last norms
    have an eps of their own, 2e-5."""

    class Attention(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.proj = nn.Linear(width, width)

        def forward(self, x: Tensor) -> Tensor:
            n, t, c = x.shape
            q, k, v = self.qkv(x).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
            weights = (q @ k.mT / (c // self.heads) ** 0.5).softmax(3)
            return self.proj((weights @ v).transpose(1, 2).reshape(n, t, c))

    class Mlp(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.fc1 = nn.Linear(width, 4 * width)
            self.fc2 = nn.Linear(4 * width, width)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc2(self.fc1(x).clamp(0, 6))

    class Block(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.norm2 = nn.LayerNorm(width)
            self.attn = Vit.Attention(width, heads)
            self.mlp = Vit.Mlp(width)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Patches(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.proj = nn.Conv2d(3, width, 9, 9)

        def forward(self, x: Tensor) -> Tensor:
            return self.proj(x).flatten(2).transpose(1, 2)

    def __init__(self, width: int = 256, depth: int = 12, heads: int = 8, size: int = 512) -> None:
        super().__init__()
        self.patch_embed = self.Patches(width)
        self.pos_embed = nn.Parameter(torch.randn(1, 144, width) * 0.1)
        self.blocks = nn.ModuleList(self.Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(144 * width, width, bias=False),
            nn.BatchNorm1d(width, eps=2e-5),
            nn.Linear(width, size, bias=False),
            nn.BatchNorm1d(size, eps=2e-5),
        )
        self.mask_token = nn.Parameter(torch.randn(1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.feature(self.norm(x).flatten(1))


def stirred(network: Network, seed: int = 0) -> Network:
    """`network` as if trained, in evaluation mode: no statistic, gain or slope is what it starts as.

    The first and the last batch norm have variances so small that their eps shows.
    """
    draw = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=draw) * (high - low) + low

    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=draw) / fan**0.5)
            elif isinstance(module, nn.PReLU):
                module.weight.copy_(uniform(module.weight, 0.1, 0.4))
            elif isinstance(module, nn.LayerNorm):
                module.weight.copy_(uniform(module.weight, 0.8, 1.2))
            if isinstance(getattr(module, "bias", None), Tensor):
                module.bias.copy_(uniform(module.bias, -0.2, 0.2))
        for norm in norms:
            norm.running_mean.copy_(uniform(norm.running_mean, -0.2, 0.2))
            small = norm in (norms[0], norms[-1])
            norm.running_var.copy_(uniform(norm.running_var, *((5e-5, 5e-4) if small else (0.8, 1.5))))
            if norm.affine:
                norm.weight.copy_(uniform(norm.weight, 0.7, 1.3))
    return network.eval()
