"""Batch norms folded into their neighbours, exactly, for inference.

In evaluation a batch norm is y = a·x + b for each channel. Behind a convolution or linear layer, a scales the
layer's rows and b joins its bias. In front of one, a scales its columns; b goes through it as a picture of
constants, whose image is added to the output. Where the layer pads with zeros that image is not constant: the
padding is put around what the norm gives, so near the border less of b is seen.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.passes.shape_prop import ShapeProp

from arcterm.errors import is_out_of_memory
from arcterm.verify.exact import exact

_Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm
_Layer = nn.Conv2d | nn.Linear
_SAME = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)  # in evaluation
_FLATTENING = {torch.flatten, torch.reshape, "flatten", "reshape", "view"}
_AGREEMENT = 1e-3  # of the largest number of an embedding
_BLOCK = 1 << 20  # numbers that are float64 at a time


def fold_norms(
    network: nn.Module, size: tuple[int, int], note: Callable[[str], None] = lambda text: None
) -> nn.Module:
    """Copy `network` in evaluation mode, for images (N, 3, *size), with fewer batch norms.

    A network that can't be traced, or that does something else when it is, is copied as it is; `note` is
    called with the reason.
    """
    plain = copy.deepcopy(network).eval().requires_grad_(False)
    like = next(plain.parameters(), torch.empty(0))
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)).mul_(2).sub_(1)
    images = images.to(like).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), exact():
        expected = plain(images)
        try:
            made = _Folding(copy.deepcopy(plain), images).run()
            largest = expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
            apart = (made(images) - expected).abs().max() / largest
        except Exception as error:
            if is_out_of_memory(error):
                raise
            note(f"batch norms are not folded: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
            return plain
    if not apart <= _AGREEMENT:
        note(f"batch norms are not folded: traced, the network differs by {apart:.1e}")
        return plain
    return made


def fold_if_any(
    network: nn.Module, size: tuple[int, int], note: Callable[[str], None] = lambda text: None
) -> nn.Module:
    """Do so for a network that has batch norms; another, such as a graph of ONNX, is returned as it is."""
    some = any(isinstance(module, _Norm) for module in network.modules())
    return fold_norms(network, size, note) if some else network


class Shifted(nn.Module):
    """A layer and what is added to its output, (1, C, H, W), the same for every image."""

    def __init__(self, layer: nn.Module, shift: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("shift", shift)
        self.shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Shift the layer's output, in its own type also within autocast."""
        y: Tensor = self.layer(x)
        return y.add_(self.shift)


class _Folding:
    """A network that is being folded, its modules replaced in place."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self.traced = fx.symbolic_trace(network)
        ShapeProp(self.traced).propagate(images)
        nodes = list(self.traced.graph.nodes)
        calls = Counter(str(node.target) for node in nodes if node.op == "call_module")
        read = {str(node.target).rpartition(".")[0] for node in nodes if node.op == "get_attr"}
        self.once = {target for target, count in calls.items() if count == 1} - read

    def run(self) -> fx.GraphModule:
        for fold in (self._drop, self._into_source, self._into_users):
            for node in list(self.traced.graph.nodes):
                if node.op == "call_module":
                    fold(node)
        self.traced.graph.lint()
        self.traced.delete_all_unused_submodules()
        self.traced.recompile()
        return self.traced

    def _drop(self, node: fx.Node) -> None:
        """Take out what does nothing in evaluation."""
        if isinstance(self._module(node), _SAME):
            self._remove(node)

    def _into_source(self, node: fx.Node) -> None:
        """layer → norm: fold into the layer, if nothing else reads its output."""
        source = node.all_input_nodes[0]
        norm, layer = self._norm(node), self._layer(source)
        if norm is None or layer is None or len(source.users) > 1:
            return
        if isinstance(layer, nn.Linear) and len(_shape(source)) != 2:
            return
        scale, shift = affine(norm)
        bias = shift if layer.bias is None else layer.bias.double() * scale + shift
        self._replace(source, scaled(layer, scale.view(-1, *(1 for _ in layer.weight.shape[1:])), bias))
        self._remove(node)

    def _into_users(self, node: fx.Node) -> None:
        """norm → layers: fold into all that read it, if only layers do; flattening may come between."""
        norm = self._norm(node)
        if norm is None or len(_shape(node)) not in (2, 4):
            return
        seen: list[fx.Node] = []
        for user in node.users:
            seen += user.users if self._flattens(user) else [user]
        layers = [(user, layer) for user in seen if (layer := self._layer(user)) is not None]
        if not seen or len(layers) < len(seen):
            return
        scale, shift = affine(norm)
        for user, layer in layers:
            if isinstance(layer, nn.Conv2d):
                self._replace(user, before_convolution(layer, scale, shift, _shape(node)[2:]))
            else:
                self._replace(user, before_linear(layer, scale, shift))
        self._remove(node)

    def _flattens(self, node: fx.Node) -> bool:
        """Whether the node makes (N, C·H·W) of (N, C, H, W) in the same order."""
        named = node.op in ("call_function", "call_method") and node.target in _FLATTENING
        if not (named or isinstance(self._module(node), nn.Flatten)) or len(node.all_input_nodes) != 1:
            return False
        before = _shape(node.all_input_nodes[0])
        return _shape(node) == torch.Size((before[0], before[1:].numel()))

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.traced.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _norm(self, node: fx.Node) -> _Norm | None:
        found = self._module(node)
        return found if isinstance(found, _Norm) and found.running_mean is not None else None

    def _layer(self, node: fx.Node) -> _Layer | None:
        """Return the node's convolution or linear layer, if it is run nowhere else."""
        found = self._module(node)
        return found if isinstance(found, _Layer) and node.target in self.once else None

    def _replace(self, node: fx.Node, layer: nn.Module) -> None:
        self.traced.add_submodule(str(node.target), layer)

    def _remove(self, node: fx.Node) -> None:
        node.replace_all_uses_with(node.all_input_nodes[0])
        self.traced.graph.erase_node(node)


def affine(norm: _Norm) -> tuple[Tensor, Tensor]:
    """Compute a and b, (C,) float64, of a batch norm in evaluation: y = a·x + b."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift


def before_linear(layer: nn.Linear, scale: Tensor, shift: Tensor) -> nn.Module:
    """layer(a·x + b) for `scale` a and `shift` b (C,), each repeated over the places of a flattened map."""
    places = layer.in_features // len(scale)
    shifts = shift.repeat_interleave(places)
    moved = torch.cat([layer.weight[rows].double() @ shifts for rows in _blocks(layer.weight)])
    bias = moved if layer.bias is None else layer.bias.double() + moved
    return scaled(layer, scale.repeat_interleave(places).view(1, -1), bias)


def before_convolution(layer: nn.Conv2d, scale: Tensor, shift: Tensor, size: tuple[int, ...]) -> nn.Module:
    """Fold layer(a·x + b) for `scale` a and `shift` b (C,), on maps (N, C, *size)."""
    each = layer.out_channels // layer.groups
    columns = scale.view(layer.groups, -1, 1, 1).repeat_interleave(each, dim=0)
    exact = {name: parameter.double() for name, parameter in layer.named_parameters()}
    image = functional_call(layer, exact, shift.view(1, -1, 1, 1).expand(1, -1, *size))  # with its own bias
    if layer.padding_mode != "zeros" or layer.padding in ("valid", 0, (0, 0)):
        return scaled(layer, columns, image[0, :, 0, 0])
    moved = scaled(layer, columns, None)
    order = torch.channels_last if layer.weight.is_contiguous(memory_format=torch.channels_last) else None
    image = image.to(layer.weight.dtype)
    return Shifted(moved, image.contiguous(memory_format=order) if order else image)


def scaled(layer: _Layer, factors: Tensor, bias: Tensor | None) -> _Layer:
    """Copy `layer` with its weights times `factors` and another bias, in its type and its order in memory.

    `factors`, float64, has one row, or one for each of the weights'. In blocks of rows: a last linear layer
    may have hundreds of megabytes, and in float64 twice that.
    """
    made = copy.deepcopy(layer, {id(layer.weight): layer.weight})
    kept = torch.empty_like(layer.weight)
    for rows in _blocks(layer.weight):
        kept[rows] = layer.weight[rows].double() * (factors if len(factors) == 1 else factors[rows])
    made.weight = nn.Parameter(kept, requires_grad=False)
    made.bias = None if bias is None else nn.Parameter(bias.to(kept), requires_grad=False)
    return made


def _blocks(weight: Tensor) -> list[slice]:
    """Rows of `weight`, (O, …), a few megabytes at a time."""
    rows = max(1, _BLOCK * weight.shape[0] // max(1, weight.numel()))
    return [slice(first, first + rows) for first in range(0, weight.shape[0], rows)]


def _shape(node: fx.Node) -> torch.Size:
    found = node.meta.get("tensor_meta")
    return getattr(found, "shape", torch.Size())
