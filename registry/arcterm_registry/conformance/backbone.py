"""Checks of a backbone: it builds, trains and evaluates as the trainer needs it, and is what it declares."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arcterm_registry.conformance.findings import Failed, Warned, foundation, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.declare import Backbone

_ALIKE = 1e-3  # largest difference over largest value where two orders of summing may differ
_COSINE = 0.98  # least cosine of a bfloat16 embedding and its float32 one
_COUNTED = 0.01  # relative error of declared multiply-adds, which are written with a few digits


def preprocess(subject: Subject) -> str:
    """The declared preprocessing gives inputs that a network can learn from."""
    ranges = []
    for mean, scale in _declared(subject).preprocess.planes:
        low, high = (0 - mean) * scale, (255 - mean) * scale
        require(
            math.isfinite(low) and math.isfinite(high) and scale > 0,
            f"(image - {mean:g}) * {scale:g} is no scaling of pixels",
            "declare a finite mean and a scale above 0, e.g. Preprocess(mean=127.5, scale=1 / 128)",
        )
        if high - low < 0.1 or max(-low, high) > 10:
            raise Warned(f"inputs lie in {low:g} … {high:g} → (image - 127.5) / 128 is usual: -1 … 1")
        ranges.append((low, high))
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return f"inputs lie in {low:.3g} … {high:.3g}"


@foundation
def build(subject: Subject) -> str:
    """The factory takes its options and returns a module with parameters."""
    network = make(subject)
    require(any(True for _ in network.parameters()), "the network has no parameters", "register its layers")
    return type(network).__name__


@foundation
def shape(subject: Subject) -> str:
    """(n, 3, H, W) → (n, D) float32 for n = 1, 2 and 3 in evaluation, n = 2 in training."""
    network = make(subject)
    size = wanted_size(subject)
    for training, counts in ((False, (1, 2, 3)), (True, (2,))):
        network.train(training)
        for n in counts:
            with torch.no_grad():
                out = network(images(subject, n))
            words = f"{n} images in {'training' if training else 'evaluation'}"
            require(
                isinstance(out, Tensor),
                f"{words} give {type(out).__name__}, not a tensor",
                "return one tensor",
            )
            require(
                tuple(out.shape) == (n, size),
                f"{words} give {tuple(out.shape)}, not ({n}, {size})",
                "correct its forward(), or the declared embedding_size",
            )
            require(
                out.dtype == torch.float32, f"{words} give {out.dtype}, not float32", "cast back at the end"
            )
    return f"(n, {size})"


def meta(subject: Subject) -> str:
    """It builds under ``torch.device('meta')``, where tensors have shapes and no values."""
    network = make(subject, device="meta")
    left = [name for name, tensor in network.state_dict().items() if not tensor.is_meta]
    require(
        not left,
        f"{', '.join(left[:3])} is not on the meta device though the network was built there",
        "make tensors without naming a device, and initialise with torch.nn.init",
    )
    network.eval()(images(subject, 2).to("meta"))
    return "builds without memory"


def counts(subject: Subject) -> str:
    """Parameters and multiply-adds, with the default options, are the declared ones."""
    declared = _declared(subject)
    network = subject.declaration.make().eval()
    parameters = sum(p.numel() for p in network.parameters())
    gmacs = _multiply_adds(network, images(subject, 1)) / 1e9
    require(
        parameters == declared.parameters and abs(gmacs - declared.gmacs) <= _COUNTED * declared.gmacs,
        f"it has {parameters:,} parameters and takes {gmacs:.4g} GMACs an image; it declares "
        f"{declared.parameters:,} and {declared.gmacs:g}",
        f"declare parameters={parameters:_}, gmacs={gmacs:.4g}",
    )
    return f"{parameters:,} parameters, {declared.gmacs:g} GMACs"


def finite(subject: Subject) -> str:
    """Embeddings of noise, of black and of white are finite."""
    network = make(subject).eval()
    with torch.no_grad():
        for words, x in (
            ("noise", images(subject, 2)),
            ("black", _plain(subject, 0)),
            ("white", _plain(subject, 255)),
        ):
            require(
                network(x).isfinite().all(),
                f"the embedding of {words} is not finite",
                "check its initial weights",
            )
    return "finite"


def backward(subject: Subject) -> str:
    """In training and in evaluation every parameter gets a finite gradient."""
    network = make(subject)
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    require(trained, "no parameter has requires_grad", "a network that can't learn is of no use here")
    for training in (True, False):
        network.train(training).zero_grad(set_to_none=True)
        network(images(subject, 2)).square().sum().backward()
        mode = "training" if training else "evaluation"
        unused = [name for name, p in trained if p.grad is None]
        require(
            not unused,
            f"in {mode} {', '.join(unused[:3])} gets no gradient",
            "use it in forward(), or remove it: ranks wait for the gradient of every parameter",
        )
        wrong = [name for name, p in trained if p.grad is not None and not p.grad.isfinite().all()]
        require(
            not wrong, f"in {mode} the gradient of {', '.join(wrong[:3])} is not finite", "check forward()"
        )
    return f"{len(trained)} tensors learn"


def seed(subject: Subject) -> str:
    """One seed, one set of weights, to the last bit."""
    first, again = make(subject, seed=3).state_dict(), make(subject, seed=3).state_dict()
    other = [key for key in first if not torch.equal(first[key], again[key])]
    require(
        not other,
        f"{', '.join(other[:3])} differs between two networks of one seed",
        "draw weights from torch's own generator, e.g. with torch.nn.init",
    )
    return "one seed, one set of weights"


def repeat(subject: Subject) -> str:
    """In evaluation the same images give the same bits, and are left as they were."""
    network = make(subject).eval()
    x = images(subject, 2)
    given = x.clone()
    with torch.no_grad():
        first, again = network(x), network(given.clone())
    require(torch.equal(x, given), "it changes its input", "no in-place operation on the input")
    require(
        torch.equal(first, again),
        "in evaluation the same images give different embeddings",
        "let what is random depend on self.training",
    )
    return "the same bits each time"


def rows(subject: Subject) -> str:
    """In evaluation an embedding does not depend on the other images of its batch."""
    network = make(subject).eval()
    others = torch.cat((images(subject, 1), images(subject, 2, seed=2)))
    with torch.no_grad():
        alone, among = network(images(subject, 3))[:1], network(others)[:1]
    error = difference(alone, among)
    if error > _ALIKE:
        raise Warned(
            f"an embedding changes by {error:.2g} with the other images of its batch "
            "→ verification then depends on the batch size; use running statistics in evaluation"
        )
    return "a row is its image's alone"


def state_dict(subject: Subject) -> str:
    """After a step of training a second network that loads the state dict computes the same."""
    first, second = make(subject), make(subject, seed=1)
    with torch.no_grad():
        first.train()(images(subject, 2))
    state = first.state_dict()
    odd = [key for key, value in state.items() if not isinstance(value, Tensor)]
    require(
        not odd, f"{', '.join(odd[:3])} in its state dict is no tensor", "a checkpoint holds tensors only"
    )
    places = [value.untyped_storage().data_ptr() for value in state.values() if value.numel()]
    require(
        len(set(places)) == len(places),
        "two entries of its state dict share memory",
        "tie weights in forward(): a checkpoint file can't hold one tensor under two names",
    )
    second.load_state_dict(state)
    with torch.no_grad():
        error = difference(first.eval()(images(subject, 2)), second.eval()(images(subject, 2)))
    require(
        error <= 1e-5,
        f"loaded into another network its state dict gives embeddings that differ by {error:.2g}",
        "register what forward() uses as a parameter or a persistent buffer",
    )
    return f"{len(state)} tensors"


def options(subject: Subject) -> str:
    """Every option at each of its choices or bounds builds and gives (2, D)."""
    tried = subject.variations()
    for change in tried:
        words = " ".join(f"{key}={value}" for key, value in change.items())
        try:
            network = make(subject, device="meta", **change).eval()
            out = network(images(subject, 2).to("meta"))
        except Exception as error:
            raise Failed(
                f"with {words} it fails: {type(error).__name__}: {error}",
                "narrow the option's range, or refuse the value in the declaration's check",
            ) from error
        wanted = (2, wanted_size(subject, **change))
        require(
            tuple(out.shape) == wanted,
            f"with {words} 2 images give {tuple(out.shape)}, not {wanted}",
            "correct the factory",
        )
    return f"{len(tried)} settings" if tried else "no option has bounds"


@foundation
def channels_last(subject: Subject) -> str:
    """Channels last in memory, as it is trained, it computes the same, and a step of training runs."""
    network = make(subject).eval()
    try:
        with torch.no_grad():
            plain = network(images(subject, 2))
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            other = network(_last(images(subject, 2)))
        network.train()(_last(images(subject, 2))).square().sum().backward()
    except RuntimeError as error:
        words = str(error).splitlines()[0]
        raise Failed(
            f"it does not take images channels last in memory, as they are in training: {words}",
            "use reshape or flatten where it says view",
        ) from error
    apart = difference(plain, other)
    require(apart <= _ALIKE, f"channels last it differs by {apart:.2g}", "no as_strided or storage tricks")
    return "the same"


def bf16(subject: Subject) -> str:
    """Under bfloat16 autocast embeddings are finite and near those of float32."""
    network = make(subject).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():
        exact = network(_last(images(subject, 2)))
        with torch.autocast("cpu", torch.bfloat16):
            half = network(_last(images(subject, 2))).float()
    require(half.isfinite().all(), "in bfloat16 an embedding is not finite", "cast where it overflows")
    least = F.cosine_similarity(exact, half).min().item()
    require(
        least >= _COSINE,
        f"in bfloat16 the cosine to the float32 embedding falls to {least:.3f}",
        "compute what is sensitive in float32: torch.autocast(..., enabled=False)",
    )
    return f"least cosine {least:.4f}"


def make(subject: Subject, *, seed: int = 0, device: str = "cpu", **changed: Any) -> nn.Module:
    """The network with weights of `seed`; raises `Failed` if the factory gives something else."""
    with torch.random.fork_rng(devices=()), torch.device(device):
        torch.manual_seed(seed)
        made = subject.factory()(**subject.settings(**changed))
    if not isinstance(made, nn.Module):
        raise Failed(f"the factory gives {type(made).__name__}, not a torch.nn.Module", "return the network")
    return made


def images(subject: Subject, count: int, *, seed: int = 1) -> Tensor:
    """Noise as the network gets it: (count, 3, H, W) float32, preprocessed as declared."""
    height, width = _declared(subject).input_size
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, height, width), generator=generator)
    return _normalized(subject, pixels)


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference of `a` and `b`, over the largest value of `a`."""
    return ((a - b).abs().max() / a.abs().max().clamp_min(1e-12)).item()


def wanted_size(subject: Subject, **changed: Any) -> int:
    """The embedding size that was asked for, else the declared one."""
    return int(subject.settings(**changed).get("embedding_size", _declared(subject).embedding_size))


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _plain(subject: Subject, value: int) -> Tensor:
    height, width = _declared(subject).input_size
    return _normalized(subject, torch.full((2, 3, height, width), value))


def _normalized(subject: Subject, pixels: Tensor) -> Tensor:
    said = _declared(subject).preprocess
    mean, scale = torch.tensor(said.planes, device=pixels.device).T.reshape(2, 3, 1, 1)
    x: Tensor = (pixels.float() - mean) * scale
    return x if said.channels == "rgb" else x.flip(1)


def _declared(subject: Subject) -> Backbone:
    assert isinstance(subject.declaration, Backbone)
    return subject.declaration


def _multiply_adds(network: nn.Module, x: Tensor) -> int:
    """Of all convolutions and matrix products, those of attention included, for the images `x`."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # attention as the products that it is made of: fused it would not be counted
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(x)
    return int(counter.get_total_flops()) // 2


CHECKS = (
    preprocess,
    build,
    shape,
    meta,
    counts,
    finite,
    backward,
    seed,
    repeat,
    rows,
    state_dict,
    options,
    channels_last,
    bf16,
)
