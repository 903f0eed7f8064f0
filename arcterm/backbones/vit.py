"""Face vision transformers with the layers and the state dict of arcface_torch.

Patches of 9×9, so 144 tokens of a 112×112 image, whose last 4 rows and columns are not seen; positions are
learnt. There is no class token: all tokens, in their order, make the embedding.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PATCH = 9
_TOKENS = (112 // _PATCH) ** 2


class PatchEmbed(nn.Module):
    """(N, 3, 112, 112) → tokens (N, 144, `width`), row by row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, _PATCH, _PATCH)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class Attention(nn.Module):
    """Per head softmax(q kᵀ / √(width / heads)) v, then a projection; (N, T, width) → the same."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        projected: Tensor = self.proj(y.transpose(1, 2).flatten(2))
        return projected


class Mlp(nn.Module):
    """Linear → ReLU6 → linear, four times as wide inside; (N, T, width) → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.act = nn.ReLU6()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.act(self.fc1(x)))
        return y


class DropPath(nn.Module):
    """In training 0 for a share `rate` of the samples, the others times 1 / (1 - rate); the mean stays."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); (N, T, width) → the same."""

    def __init__(self, width: int, heads: int, drop_path: float, attention_dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, attention_dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        y: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return y


class VisionTransformer(nn.Module):
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    `drop_path` is the rate of the last block; it grows linearly from 0 in the first. In training a share
    `mask` of each image's tokens, drawn at random, skips the blocks; one learnt token stands for all of them
    after the blocks.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        *,
        heads: int = 8,
        embedding_size: int,
        drop_path: float,
        mask: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.kept = int(_TOKENS * (1 - mask))
        self.patch_embed = PatchEmbed(width)
        self.pos_embed = nn.Parameter(torch.empty(1, _TOKENS, width))
        self.mask_token = nn.Parameter(torch.empty(1, 1, width), requires_grad=self.kept < _TOKENS)
        rates = [drop_path * index / max(depth - 1, 1) for index in range(depth)]
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, rate, attention_dropout) for rate in rates)
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(_TOKENS * width, width, bias=False),
            nn.BatchNorm1d(width, eps=2e-5),
            nn.Linear(width, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size, eps=2e-5),
        )
        self._start()

    def _start(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def tokens(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) → what the blocks make of their patches, (N, 144, width)."""
        x = self.patch_embed(x) + self.pos_embed
        if not self.training or self.kept == _TOKENS:
            return self._encode(x)
        order = torch.rand(x.shape[:2], device=x.device).argsort(1)
        seen = self._encode(x.take_along_dim(order[:, : self.kept, None], 1))
        hidden = self.mask_token.to(seen.dtype).expand(x.shape[0], _TOKENS - self.kept, -1)
        return torch.cat((seen, hidden), dim=1).take_along_dim(order.argsort(1)[:, :, None], 1)

    def _encode(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        encoded: Tensor = self.norm(x)
        return encoded

    def forward(self, x: Tensor) -> Tensor:
        embeddings: Tensor = self.feature(self.tokens(x).flatten(1))
        return embeddings


vit_t = partial(VisionTransformer, 256, 12)
vit_s = partial(VisionTransformer, 512, 12)
vit_b = partial(VisionTransformer, 512, 24)
vit_l = partial(VisionTransformer, 768, 24)
