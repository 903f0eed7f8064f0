"""Folded batch norms against the network itself in float64: the same numbers, borders included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from arcterm_registry import get, names
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from arcterm.verify import fold
from arcterm.verify.fold import Shifted, fold_norms

pytestmark = pytest.mark.long

EXACT = 1e-12


def lived_in(network: nn.Module, seed: int = 0) -> nn.Module:
    """Statistics and affine values as after training: nothing is 0 or 1, and some gains are negative."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator).mul_(high - low).add_(low).to(like)

    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.track_running_stats:
                norm.running_mean.copy_(draw(norm.running_mean, -0.5, 0.5))
                norm.running_var.copy_(draw(norm.running_var, 0.5, 2.0))
                if norm.affine:
                    sign = draw(norm.weight, -0.25, 1).sign()
                    norm.weight.copy_(draw(norm.weight, 0.5, 1.2) * sign)
                    norm.bias.copy_(draw(norm.bias, -0.5, 0.5))
    return network


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def apart(network: nn.Module, x: Tensor) -> float:
    """Largest difference of the folded network, of the largest number; in float64."""
    exact = network.double().eval()
    with torch.no_grad():
        expected = exact(x.double())
        found = fold_norms(exact, tuple(x.shape[2:]))(x.double())
    return ((found - expected).abs().max() / expected.abs().max()).item()


def assert_folds(network: nn.Module, x: Tensor, left: int) -> fx.GraphModule:
    lived_in(network)
    assert apart(network, x) <= EXACT
    made = fold_norms(network, tuple(x.shape[2:]))
    assert isinstance(made, fx.GraphModule)
    assert norms(made) == left
    return made


def families() -> list[str]:
    """The cheapest backbone of every module; the others have the same layers, only more of them."""
    declared = {name: get("backbone", name) for name in names("backbone")}
    cheap = sorted(declared, key=lambda name: -declared[name].gmacs)
    return sorted({declared[name].factory.partition(":")[0]: name for name in cheap}.values())


def marked(slow: Callable[[str], bool]) -> list[object]:
    """All but the largest, which `tests/train/test_families.py` verifies, folded."""
    fit = [name for name in families() if get("backbone", name).gmacs < 20]
    return [pytest.param(n, marks=[pytest.mark.slow] if slow(n) else []) for n in fit]


@pytest.mark.parametrize("name", marked(lambda name: get("backbone", name).gmacs > 3))
def test_every_kind_of_backbone(name):
    declared = get("backbone", name)
    torch.manual_seed(0)
    network, told = lived_in(declared.make()).eval(), []
    made = fold_norms(network, declared.input_size, told.append)
    assert isinstance(made, fx.GraphModule), told
    x = images(2, 3, *declared.input_size)
    with torch.no_grad():
        expected, found = network(x).double(), made(x).double()
    assert F.cosine_similarity(found, expected).min() >= 1 - 1e-6
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert norms(made) < norms(network) or not norms(network)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in families() if get("backbone", name).gmacs < 5])
def test_every_kind_of_backbone_exactly(name):
    """The two largest take half a minute in float64; each kind of its layers is tried below."""
    declared = get("backbone", name)
    torch.manual_seed(0)
    assert apart(lived_in(declared.make()), images(1, 3, *declared.input_size)) <= EXACT


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, padding=1, bias=False),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, 5, stride=2, padding=(2, 1)),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2),
        nn.Conv2d(4, 6, (1, 7), padding=(1, 2)),
        nn.Conv2d(4, 6, (7, 1), padding=(2, 1)),
        nn.Conv2d(4, 8, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.Conv2d(4, 6, 3, padding="valid"),
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="replicate"),
    ],
    ids=lambda layer: str(layer)[6:],
)
def test_a_norm_on_either_side_of_a_convolution(layer):
    x = images(3, 3, 9, 8)
    stem = nn.Conv2d(3, 4, 1), nn.ReLU()
    for network in (
        nn.Sequential(*stem, nn.BatchNorm2d(4), layer),
        nn.Sequential(*stem, layer, nn.BatchNorm2d(layer.out_channels)),
        nn.Sequential(*stem, nn.BatchNorm2d(4), layer, nn.BatchNorm2d(layer.out_channels), nn.PReLU()),
    ):
        assert_folds(network, x, left=0)


def test_borders_are_noticed():
    """Had the shift been put into the bias, as if the padding were normed too, the border would differ."""
    network = lived_in(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3, padding=1))).double().eval()
    x = images(2, 3, 9, 8).double()
    made = fold_norms(network, (9, 8))
    shifted = made.get_submodule("1")
    assert isinstance(shifted, Shifted)
    with torch.no_grad():
        expected = network(x)
        shifted.shift.copy_(shifted.shift[..., 4:5, 4:5].expand_as(shifted.shift))
        wrong = (made(x) - expected).abs()
    assert wrong[..., 1:-1, 1:-1].max() < EXACT
    assert wrong[..., 0, :].min() > 1e-3
    assert wrong[..., :, -1].min() > 1e-3


class Shared(nn.Module):
    """Unit 3's order: the norm's input also goes around it. With `leak` its output does too."""

    def __init__(self, leak: bool, second: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.other = nn.Conv2d(3, 3, 1)
        self.leak, self.second = leak, second

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        z = self.conv(y) + (y if self.leak else x)
        return z + self.other(y) if self.second else z


def test_a_norm_with_several_readers():
    x = images(2, 3, 7, 7)
    assert_folds(Shared(leak=False), x, left=0)
    assert_folds(Shared(leak=False, second=True), x, left=0)
    assert_folds(Shared(leak=True), x, left=1)


class Twice(nn.Module):
    """One convolution run twice, once before the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(self.conv(x)))


class Read(nn.Module):
    """A convolution whose weights are also read, beside being run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.sum()


class Kept(nn.Module):
    """What the convolution gives is used beside the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


@pytest.mark.parametrize("kind", [Twice, Read, Kept])
def test_a_layer_with_another_use_is_left_alone(kind):
    assert_folds(kind(), images(2, 3, 6, 6), left=1)


@pytest.mark.parametrize("flatten", [nn.Flatten(), None], ids=["module", "method"])
def test_through_flattening_into_a_linear_layer(flatten):
    class Tail(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.drop, self.flat = nn.BatchNorm2d(3), nn.Dropout(0.4), flatten
            self.fc, self.last = nn.Linear(3 * 5 * 4, 7, bias=False), nn.BatchNorm1d(7)

        def forward(self, x: Tensor) -> Tensor:
            y = self.drop(self.norm(x))
            return self.last(self.fc(y.flatten(1) if self.flat is None else self.flat(y)))

    assert_folds(Tail(), images(3, 3, 5, 4), left=0)


def test_vectors_and_what_is_no_neighbour():
    x = images(3, 3, 3, 3)
    assert_folds(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(27), nn.Dropout(), nn.Linear(27, 4)), x, left=0)
    assert_folds(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 3)), x, left=1)
    assert_folds(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)), x, left=1)


class Undecided(nn.Module):
    """Looks at its numbers, so it can't be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


class Batchwise(nn.Module):
    """Remembers, when traced, something that it would not do again."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(1) * (self.calls > 1) + x.flatten(1)


@pytest.mark.parametrize(("kind", "why"), [(Undecided, "TraceError"), (Batchwise, "differs by")])
def test_what_can_not_be_traced_is_copied(kind, why):
    network, told = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), kind()), []
    made = fold_norms(network, (4, 4), told.append)
    assert norms(made) == 1
    assert made is not network
    assert not made.training
    assert len(told) == 1
    assert why in told[0]


def test_the_network_itself_stays_as_it_was():
    network = lived_in(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)))
    network.to(memory_format=torch.channels_last).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    made = fold_norms(network, (6, 6))
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(p.requires_grad for p in made.parameters())
    layer = made.get_submodule("1.layer")
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    random = torch.get_rng_state()
    fold_norms(network, (6, 6))
    assert torch.equal(torch.get_rng_state(), random)


def test_bfloat16_stays_bfloat16():
    network = lived_in(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)))
    made = fold_norms(network, (6, 6))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert made(images(1, 3, 6, 6)).dtype == torch.bfloat16


class Doubles(TorchDispatchMode):
    """Notes the largest number of float64 values in one tensor."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.dtype == torch.float64:
            self.largest = max(self.largest, made.numel())
        return made


def test_a_large_layer_is_folded_in_blocks_of_rows_to_the_same_bits(monkeypatch):
    network = lived_in(
        nn.Sequential(
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 6, 3, padding=1, groups=3),
            nn.Flatten(),
            nn.BatchNorm1d(600),
            nn.Linear(600, 70),
            nn.BatchNorm1d(70),
        )
    )
    whole = fold_norms(network, (10, 10)).state_dict()
    monkeypatch.setattr(fold, "_BLOCK", 6000)
    with Doubles() as doubles:
        blocks = fold_norms(network, (10, 10)).state_dict()
    assert doubles.largest <= 6000 < 600 * 70
    assert whole.keys() == blocks.keys()
    assert all(torch.equal(whole[name], blocks[name]) for name in whole)
