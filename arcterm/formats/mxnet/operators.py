"""MXNet's operators as symbol files name them: attributes with their defaults, and other names of them.

Attributes are text in a file: ``(3, 3)``, ``True``, ``2e-05``, ``prelu``. Defaults are those of the
parameter structs in MXNet's ``src/operator``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

Value = bool | int | float | str | None | tuple[int | float, ...]

_KERNEL: dict[str, Value] = {"kernel": (), "stride": (), "pad": ()}
_DEFAULTS: dict[str, dict[str, Value]] = {
    "Convolution": {**_KERNEL, "dilate": (), "num_filter": 0, "num_group": 1, "no_bias": False},
    "FullyConnected": {"num_hidden": 0, "no_bias": False, "flatten": True},
    "BatchNorm": {
        "eps": 1e-3,
        "momentum": 0.9,
        "fix_gamma": True,
        "use_global_stats": False,
        "output_mean_var": False,
        "axis": 1,
    },
    "LeakyReLU": {"act_type": "leaky", "slope": 0.25, "lower_bound": 0.125, "upper_bound": 0.334},
    "Pooling": {
        **_KERNEL,
        "pool_type": "max",
        "global_pool": False,
        "pooling_convention": "valid",
        "count_include_pad": True,
    },
    "Activation": {"act_type": ""},
    "Dropout": {"p": 0.5},
    "Concat": {"dim": 1},
    "L2Normalization": {"eps": 1e-10, "mode": "instance"},
    **{f"_{name}_scalar": {"scalar": 1.0} for name in ("plus", "minus", "mul", "div")},
}
_FILL: dict[str, int] = {"stride": 1, "dilate": 1, "pad": 0}
_ALIASES = {
    **dict.fromkeys(("BatchNorm_v1", "CuDNNBatchNorm", "_contrib_SyncBatchNorm"), "BatchNorm"),
    **{f"{name}_v1": name for name in ("Convolution", "Pooling")},
    **{f"_{name.title()}Scalar": f"_{name}_scalar" for name in ("plus", "minus", "mul", "div")},
    "Softmax": "SoftmaxOutput",
    "identity": "_copy",
    "cast": "Cast",
    "stop_gradient": "BlockGrad",
    "make_loss": "MakeLoss",
}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}L?", re.ASCII)  # Python 2 wrote its long integers with an L
_TUPLE = re.compile(r"[(\[](.*)[)\]]", re.DOTALL)
_TRUTH = {"True": True, "False": False}
_MAX_LITERAL = 256  # characters; what is longer is no number


def canonical(op: str) -> str:
    """The usual name of an operator, given any of its names."""
    return _ALIASES.get(op, op)


def attributes(op: str, texts: Mapping[str, str]) -> dict[str, Value]:
    """The values of an operator's attributes, defaults included; unknown ones parsed by `literal`.

    An empty stride, dilation or padding is filled to the kernel's length. Raises `ValueError` that names an
    attribute whose text isn't of its type.
    """
    values = dict(_DEFAULTS.get(op, {}))
    for name, text in texts.items():
        try:
            values[name] = _convert(text, values.get(name))
        except ValueError:
            raise ValueError(f"{name} is {text[:_MAX_LITERAL]!r}") from None
    kernel = values.get("kernel")
    if isinstance(kernel, tuple):
        values |= {name: (fill,) * len(kernel) for name, fill in _FILL.items() if values.get(name) == ()}
    return values


def literal(text: str) -> Value:
    """Parse a text without a type: None, a bool, a number, a tuple of numbers, or the text itself."""
    if text == "None" or text in _TRUTH:
        return _TRUTH.get(text)
    if len(text) > _MAX_LITERAL:
        return text
    inside = _TUPLE.fullmatch(text.strip())
    try:
        if inside is None:
            return _parse_number(text)
        return tuple(_parse_number(part) for part in inside[1].rstrip(" ,").split(",") if inside[1].strip())
    except ValueError:
        return text


def _convert(text: str, default: Value) -> Value:
    """`text` as a value of the default's type, "None" as the default; raises `ValueError`."""
    if text == "None":
        return default
    match default:
        case bool():
            return _parse_bool(text)
        case int():
            return _parse_integer(text)
        case float():
            return _parse_real(text)
        case tuple():
            value = literal(text)
            return value if isinstance(value, tuple) else (_parse_integer(text),)
        case _:
            return literal(text)


def _parse_bool(text: str) -> bool:
    value = {**_TRUTH, "true": True, "1": True, "false": False, "0": False}.get(text)
    if value is None:
        raise ValueError
    return value


def _parse_number(text: str) -> int | float:
    return _parse_integer(text) if _INTEGER.fullmatch(text.strip()) else _parse_real(text)


def _parse_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError
    return int(text.strip().rstrip("L"))


def _parse_real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
