"""Face ViT against arcface_torch's state dict and published FLOPs, and its parts against float64 by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from arcterm.backbones import vit

from . import meta

# width, depth, and the GFLOPs (multiply-adds) of arcface_torch's README
PUBLISHED = {
    "vit_t": (256, 12, 1.5),
    "vit_s": (512, 12, 5.7),
    "vit_b": (512, 24, 11.4),
    "vit_l": (768, 24, 25.3),
}


def small(**options: float) -> vit.VisionTransformer:
    torch.manual_seed(0)
    chosen = meta.settings("vit_t", embedding_size=24, drop_path=0.0) | options
    return vit.VisionTransformer(32, **({"depth": 2, "heads": 4} | chosen))


def arcface_torch(width: int, depth: int, embedding_size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes in arcface_torch's checkpoints."""
    norm = {"weight": (width,), "bias": (width,)}
    block = {
        **{f"norm1.{k}": v for k, v in norm.items()},
        "attn.qkv.weight": (3 * width, width),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        **{f"norm2.{k}": v for k, v in norm.items()},
        "mlp.fc1.weight": (4 * width, width),
        "mlp.fc1.bias": (4 * width,),
        "mlp.fc2.weight": (width, 4 * width),
        "mlp.fc2.bias": (width,),
    }
    table: dict[str, tuple[int, ...]] = {
        "pos_embed": (1, 144, width),
        "mask_token": (1, 1, width),
        "patch_embed.proj.weight": (width, 3, 9, 9),
        "patch_embed.proj.bias": (width,),
        "feature.0.weight": (width, 144 * width),
        "feature.2.weight": (embedding_size, width),
    }
    table |= {f"blocks.{i}.{name}": shape for i in range(depth) for name, shape in block.items()}
    table |= {f"norm.{k}": v for k, v in norm.items()}
    for index, size in ((1, width), (3, embedding_size)):
        for name in ("weight", "bias", "running_mean", "running_var"):
            table[f"feature.{index}.{name}"] = (size,)
        table[f"feature.{index}.num_batches_tracked"] = ()
    return table


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_state_dict_of_arcface_torch(name: str) -> None:
    width, depth, _ = PUBLISHED[name]
    state = meta.build(name, embedding_size=384).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == arcface_torch(width, depth, 384)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_flops(name: str) -> None:
    width, depth, gflops = PUBLISHED[name]
    network = meta.build(name)
    with FlopCounterMode(display=False) as counter:
        assert network(meta.images(1)).shape == (1, 512)
    macs = counter.get_total_flops() / 2
    assert macs / 1e9 == pytest.approx(gflops, rel=0.01)
    products = 2 * depth * 144**2 * width
    assert (macs - products) / 1e9 != pytest.approx(gflops, rel=0.01)


def by_hand(block: vit.TransformerBlock, x: Tensor, scale: float, heads: int) -> Tensor:
    """The block image by image and head by head, softmax written out."""

    def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias

    width = x.shape[2]
    part = width // heads
    outputs = []
    for image in x:
        q, k, v = (norm(block.norm1, image) @ block.attn.qkv.weight.T).split(width, 1)
        made = []
        for head in range(heads):
            columns = slice(head * part, (head + 1) * part)
            exponents = (q[:, columns] @ k[:, columns].T * scale).exp()
            made.append(exponents / exponents.sum(1, keepdim=True) @ v[:, columns])
        attended = image + torch.cat(made, 1) @ block.attn.proj.weight.T + block.attn.proj.bias
        inside = norm(block.norm2, attended) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias
        outputs.append(attended + inside.clamp(0, 6) @ block.mlp.fc2.weight.T + block.mlp.fc2.bias)
    return torch.stack(outputs)


def test_a_block_by_hand() -> None:
    torch.manual_seed(0)
    block = vit.TransformerBlock(24, 3, 0.0, 0.0).double().eval()
    for parameter in block.parameters():
        nn.init.uniform_(parameter, -1.5, 1.5)
    x = torch.randn(2, 7, 24).double()
    with torch.no_grad():
        ours = block(x)
        assert torch.allclose(ours, by_hand(block, x, 1 / math.sqrt(8), 3), rtol=1e-10, atol=1e-10)
        assert not torch.allclose(ours, by_hand(block, x, 1 / math.sqrt(24), 3), rtol=1e-3)
        assert not torch.allclose(ours, by_hand(block, x, 1 / math.sqrt(8), 4), rtol=1e-3)


def test_drop_path_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = vit.DropPath(0.2)
    x = torch.ones(20_000, 2, 3)
    y = drop(x)
    assert set(y.unique().tolist()) == {0.0, 1.25}
    assert (y == y[:, :1, :1]).all()
    assert y.mean().item() == pytest.approx(1, abs=5 * 0.5 / math.sqrt(20_000))
    assert drop.eval()(x) is x


def test_drop_path_grows_from_block_to_block() -> None:
    rates = [block.drop_path.rate for block in meta.build("vit_t", drop_path=0.11).blocks]
    assert rates == pytest.approx([0.01 * i for i in range(12)])


def test_hidden_patches_become_the_token() -> None:
    """Without blocks a visible patch keeps its own value at its own place."""
    network = small(depth=0, mask=0.25)
    x = torch.randn(3, 3, 112, 112)
    with torch.no_grad():
        plain = network.eval().tokens(x)
        masked = network.train().tokens(x)
    hidden = (masked == network.mask_token).all(2)
    assert (hidden.sum(1) == 36).all()
    assert not torch.equal(hidden[0], hidden[1])
    assert torch.equal(masked[~hidden], plain[~hidden])
    assert not torch.equal(masked[~hidden], plain.roll(1, 1)[~hidden])


def test_every_patch_is_hidden_as_often() -> None:
    network = small(depth=0, mask=0.25)
    with torch.no_grad():
        masked = network.tokens(torch.randn(1, 3, 112, 112).expand(1600, -1, -1, -1))
    share = (masked == network.mask_token).all(2).float().mean(0)
    assert ((share - 0.25).abs() < 5 * math.sqrt(0.25 * 0.75 / 1600)).all()


def test_hidden_patches_are_not_seen() -> None:
    network = small(mask=0.5)
    x = torch.randn(1, 3, 112, 112)

    def tokens(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        with torch.no_grad():
            return network.tokens(x)

    before = tokens(x)
    hidden = (before == network.mask_token).all(2)[0]
    for place in (int(hidden.nonzero()[0]), int((~hidden).nonzero()[0])):
        other = x.clone()
        row, column = 9 * (place // 12), 9 * (place % 12)
        other[:, :, row : row + 9, column : column + 9] += 1
        assert torch.equal(tokens(other), before) == bool(hidden[place])


@pytest.mark.parametrize(("mask", "kept"), [(0.0, 144), (0.05, 136), (0.1, 129)])
def test_as_many_stay_as_in_arcface_torch(mask: float, kept: int) -> None:
    network = small(mask=mask)
    assert network.kept == kept
    assert network.mask_token.requires_grad == (mask > 0)


def test_nothing_is_random_without_a_reason() -> None:
    x = torch.randn(16, 3, 112, 112)
    with torch.no_grad():
        network = small()
        assert torch.equal(network.train().tokens(x), network.eval().tokens(x))
        for option in ("mask", "drop_path", "attention_dropout"):
            network = small(**{option: 0.5})
            assert not torch.equal(network.train().tokens(x), network.tokens(x)), option
            assert torch.equal(network.eval().tokens(x), network.tokens(x)), option


@pytest.mark.parametrize("mask", [0.0, 0.1])
def test_trains(mask: float) -> None:
    network = small(mask=mask, drop_path=0.1)
    y = network(torch.randn(4, 3, 112, 112))
    assert y.shape == (4, 24)
    y.square().sum().backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert len(trained) == len(list(network.parameters())) - (mask == 0)
