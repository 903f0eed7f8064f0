"""A network as an MXNet symbol, by which MXNet computes the same; `mxnet` is the way back.

Rules are those of `mxnet`: layouts are the same, MXNet's fully connected layer flattens by itself, and a gain
that stays 1 is ``fix_gamma``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from arcterm_registry import Preprocess
from arcterm_registry.contracts import Margin
from torch import fx, nn

from arcterm.errors import ConfigError
from arcterm.export.mxnetnames import names_for
from arcterm.formats.mxnet.nodes import Nodes

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Softplus: "softrelu",
}
_NOTHING = "the embedding is an input"


class WrittenSymbol(NamedTuple):
    """The JSON of a symbol, and for each of MXNet's arrays, ``arg:…`` or ``aux:…``, its name in our state."""

    json: bytes
    arrays: dict[str, str]


def symbol_of(
    network: nn.Module,
    preprocess: Preprocess,
    margin: Margin | None = None,
    rows: tuple[int, int] = (0, 0),
) -> WrittenSymbol:
    """Make the symbol of `network` on images of 0..255, with the classes of its loss if there is a `margin`.

    Its outputs are the embedding ``fc1`` and the softmax over class weights of shape `rows`, without the
    margin, as a network that is done is used. Raises `ConfigError` if MXNet lacks something of the network.
    """
    drawing = _Drawing(network, preprocess)
    embedding = drawing.draw()
    outputs = [embedding]
    if margin is not None:
        kept = drawing.nodes.add("BlockGrad", "blockgrad0", [embedding])
        outputs = [kept, _classes(drawing.nodes, embedding, margin, rows)]
    return WrittenSymbol(drawing.nodes.encode(outputs), drawing.arrays)


def _classes(nodes: Nodes, embedding: int, margin: Margin, rows: tuple[int, int]) -> int:
    """Add the softmax of the products with the class weights; a scale that is learned counts as 1."""
    weight = nodes.variable("fc7_weight", rows)
    if margin.normalized_weights:
        weight = nodes.add("L2Normalization", "l2normalization0", [weight], mode="instance")
    features = embedding
    if margin.normalized_features:
        scale = margin.scale if isinstance(margin.scale, float | int) else 1.0
        unit = nodes.add("L2Normalization", "fc1n", [embedding], mode="instance")
        features = nodes.add("_mul_scalar", "_mulscalar1", [unit], scalar=scale)
    inputs = [features, weight, *([nodes.variable("fc7_bias")] if margin.bias else [])]
    fc7 = nodes.add("FullyConnected", "fc7", inputs, num_hidden=rows[0], no_bias=not margin.bias)
    label = nodes.variable("softmax_label")
    return nodes.add("SoftmaxOutput", "softmax", [fc7, label], normalization="valid")


class _Drawing:
    """The nodes of one network; `arrays` are filled as layers are added."""

    def __init__(self, network: nn.Module, preprocess: Preprocess) -> None:
        self.nodes, self.arrays = Nodes(), dict[str, str]()
        self._network, self._preprocess = network, preprocess
        self._graph = fx.symbolic_trace(network).graph
        used = [str(node.target) for node in self._graph.nodes if node.op == "call_module"]
        skipped = (nn.Identity, nn.Flatten)
        self._names = names_for(
            [path for path in used if not isinstance(network.get_submodule(path), skipped)]
        )
        self._made: dict[fx.Node, int] = {}
        self._parts: dict[fx.Node, tuple[fx.Node, list[int]]] = {}
        self._counts: dict[str, int] = {}

    def draw(self) -> int:
        """Add all nodes; returns the number of the embedding's."""
        for node in self._graph.nodes:
            if node.op == "output":
                return self._number(node.args[0])
            if node.op == "placeholder":
                self._made[node] = self._input()
            elif node.op == "call_module":
                self._made[node] = self._layer(str(node.target), self._number(node.args[0]), node)
            else:
                self._call(node)
        raise self._cannot(_NOTHING)

    def _input(self) -> int:
        """Add what 2018's networks begin with: (image - 127.5) / 128."""
        planes = self._preprocess.planes
        if self._preprocess.channels != "rgb" or len(set(planes)) > 1:
            raise self._cannot(f"its input is prepared by {self._preprocess}")
        image = self.nodes.add("_copy", "id", [self.nodes.variable("data")])
        image = self.nodes.add("_minus_scalar", "_minusscalar0", [image], scalar=planes[0][0])
        return self.nodes.add("_mul_scalar", "_mulscalar0", [image], scalar=planes[0][1])

    def _layer(self, path: str, x: int, node: fx.Node) -> int:
        """Add the module at `path`, whose input is node `x`."""
        module, name = self._network.get_submodule(path), self._names.get(path, "")
        if isinstance(module, nn.Identity) or (isinstance(module, nn.Flatten) and self._feeds_dense(node)):
            return x
        if isinstance(module, nn.Flatten):
            return self.nodes.add("Flatten", self._numbered("flatten"), [x])
        if isinstance(module, nn.Conv2d):
            return self._convolution(module, path, name, x)
        if isinstance(module, nn.Linear):
            inputs = [x, *self._held(path, name, module)]
            size, unbiased = module.out_features, module.bias is None
            return self.nodes.add("FullyConnected", name, inputs, num_hidden=size, no_bias=unbiased)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._norm(module, path, name, x)
        return self._plain(module, path, name, x)

    def _feeds_dense(self, node: fx.Node) -> bool:
        """Whether all that takes the output of `node` is fully connected."""
        users = [user for user in node.users if user.op == "call_module"]
        dense = (isinstance(self._network.get_submodule(str(user.target)), nn.Linear) for user in users)
        return bool(users) and all(dense)

    def _convolution(self, conv: nn.Conv2d, path: str, name: str, x: int) -> int:
        return self.nodes.add(
            "Convolution",
            name,
            [x, *self._held(path, name, conv)],
            num_filter=conv.out_channels,
            kernel=conv.kernel_size,
            stride=conv.stride,
            pad=conv.padding,
            num_group=conv.groups,
            no_bias=conv.bias is None,
        )

    def _norm(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, path: str, name: str, x: int) -> int:
        if not norm.affine:
            raise self._cannot(f"its batch norm {path} has neither gain nor offset")
        # MXNet wants the array of a gain that it leaves alone, too
        arrays = {"gamma": "weight", "beta": "bias"}
        self.arrays |= {f"arg:{name}_{theirs}": f"{path}.{ours}" for theirs, ours in arrays.items()}
        self.arrays[f"aux:{name}_moving_mean"] = f"{path}.running_mean"
        self.arrays[f"aux:{name}_moving_var"] = f"{path}.running_var"
        roles = ("gamma", "beta", "moving_mean", "moving_var")
        inputs = [x, *(self.nodes.variable(f"{name}_{role}") for role in roles)]
        fixed = not norm.weight.requires_grad
        return self.nodes.add("BatchNorm", name, inputs, eps=norm.eps, momentum=0.9, fix_gamma=fixed)

    def _held(self, path: str, name: str, module: nn.Conv2d | nn.Linear) -> list[int]:
        """Add the variables of the weight and the bias, if there is one."""
        roles = ["weight"] if module.bias is None else ["weight", "bias"]
        self.arrays |= {f"arg:{name}_{role}": f"{path}.{role}" for role in roles}
        return [self.nodes.variable(f"{name}_{role}") for role in roles]

    def _plain(self, module: nn.Module, path: str, name: str, x: int) -> int:
        """Add an activation, a pool or a dropout."""
        add = self.nodes.add
        if isinstance(module, nn.PReLU):
            self.arrays[f"arg:{name}_gamma"] = f"{path}.weight"
            return add("LeakyReLU", name, [x, self.nodes.variable(f"{name}_gamma")], act_type="prelu")
        if type(module) in _ACTIVATIONS:
            return add("Activation", name, [x], act_type=_ACTIVATIONS[type(module)])
        if isinstance(module, nn.ReLU6):
            return add("clip", name, [x], a_min=0.0, a_max=6.0)
        if isinstance(module, nn.Dropout):
            return add("Dropout", name, [x], p=module.p)
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            return add("Pooling", name, [x], global_pool=True, kernel=(7, 7), pool_type="avg")
        if isinstance(module, nn.MaxPool2d | nn.AvgPool2d) and not module.ceil_mode:
            kind = "max" if isinstance(module, nn.MaxPool2d) else "avg"
            shape = {"kernel": module.kernel_size, "stride": module.stride, "pad": module.padding}
            pairs = {
                key: value if isinstance(value, tuple) else (value, value) for key, value in shape.items()
            }
            return add("Pooling", name, [x], pool_type=kind, **pairs)
        raise self._cannot(f"there is no {type(module).__name__}")

    def _call(self, node: fx.Node) -> None:
        """Add a function that the network calls."""
        target, arguments = node.target, node.args
        if target == "tensor_split":
            self._parts[node] = (arguments[0], list(arguments[1]))  # type: ignore[arg-type,assignment]
            return
        made: dict[Any, Callable[[fx.Node], int]] = {
            operator.add: lambda n: self._two("elemwise_add", "_plus", n),
            operator.mul: self._product,
            operator.getitem: self._part,
            torch.cat: self._joined,
            "sigmoid": lambda n: self.nodes.add(
                "Activation", self._numbered("sigmoid"), [self._number(n.args[0])], act_type="sigmoid"
            ),
        }
        if target not in made:
            raise self._cannot(f"it calls {getattr(target, '__name__', target)}")
        self._made[node] = made[target](node)

    def _two(self, op: str, name: str, node: fx.Node) -> int:
        return self.nodes.add(op, self._numbered(name), [self._number(each) for each in node.args])

    def _product(self, node: fx.Node) -> int:
        numbers = [each for each in node.args if isinstance(each, float | int)]
        if not numbers:
            return self._two("broadcast_mul", "broadcast_mul", node)
        factor = next(each for each in node.args if isinstance(each, fx.Node))
        return self.nodes.add(
            "_mul_scalar", self._numbered("scaled"), [self._number(factor)], scalar=numbers[0]
        )

    def _part(self, node: fx.Node) -> int:
        whole, at = self._parts[node.args[0]]  # type: ignore[index]
        number: int = node.args[1]  # type: ignore[assignment]
        begin, end = [0, *at][number], [*at, None][number]
        return self.nodes.add(
            "slice_axis", self._numbered("slice_axis"), [self._number(whole)], axis=1, begin=begin, end=end
        )

    def _joined(self, node: fx.Node) -> int:
        parts = [self._number(each) for each in node.args[0]]  # type: ignore[union-attr]
        return self.nodes.add("Concat", self._numbered("concat"), parts, num_args=len(parts), dim=1)

    def _number(self, node: Any) -> int:
        if node not in self._made:
            raise self._cannot(f"it uses {node} as it is")
        return self._made[node]

    def _numbered(self, name: str) -> str:
        self._counts[name] = self._counts.get(name, -1) + 1
        return f"{name}{self._counts[name]}"

    def _cannot(self, why: str) -> ConfigError:
        return ConfigError(
            f"{type(self._network).__name__} can't be written as an MXNet symbol: {why}",
            "leave out --set mxnet_prefix; `arcterm model export RUN` writes ONNX",
        )


def arrays_of(
    symbol: WrittenSymbol,
    state: Mapping[str, torch.Tensor],
    rows: torch.Tensor | None,
    bias: torch.Tensor | None,
) -> dict[str, Any]:
    """Return the arrays of a ``.params`` file, float32: of the network's `state`, and of the classes."""
    found = {name: state[key] for name, key in symbol.arrays.items()}
    if rows is not None:
        found["arg:fc7_weight"] = rows
    if bias is not None:
        found["arg:fc7_bias"] = bias
    return {name: array.detach().cpu().float().numpy() for name, array in found.items()}
