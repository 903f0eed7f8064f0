"""Options with which a backbone might be that of a model file, by its arrays' names and shapes.

Every function takes names → shapes in the order of use and returns options, the likeliest first. They only
propose: whether a file fits is decided layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Shapes = Mapping[str, tuple[int, ...]]
Options = Mapping[str, bool | int | float | str]

_LARGEST_MEAN = 4096  # numbers; a linear layer that takes more takes a whole map


def resnet(shapes: Shapes) -> Iterator[Options]:
    """Squeeze-and-excite, the stem and the unit show in the names and in the first kernel."""
    names = " ".join(shapes)
    third_norm = any(word in names for word in ("_bn3.", "_bn3_", ".bn3."))
    projects = any(word in names for word in ("_sc.", "_sc_", "conv1sc", ".downsample.", ".shortcut."))
    fixed: Options = {"se": "_se_" in names or ".se." in names}
    units = (3, 4) if third_norm and not projects else (3, 1, 2) if third_norm else (1, 2)
    for stem in (0,) if _first_kernel(shapes) == 7 else (1, 2):
        for unit in units:
            for output in _outputs(shapes):
                yield {**fixed, "input": stem, "unit": unit, "output": output}


def strided(shapes: Shapes) -> Iterator[Options]:
    """A stem of either kind, any output part."""
    for stem in (0, 1) if _first_kernel(shapes) == 7 else (1, 0):
        for output in _outputs(shapes):
            yield {"input": stem, "output": output}


def outputs(shapes: Shapes) -> Iterator[Options]:
    """Any output part."""
    for output in _outputs(shapes):
        yield {"output": output}


def mobilenet(shapes: Shapes) -> Iterator[Options]:
    """The multiplier is that of the first convolution's 32 channels."""
    for options in strided(shapes):
        yield {**options, "multiplier": _first_channels(shapes) / 32}


def mobilefacenet(shapes: Shapes) -> Iterator[Options]:
    """The scale is that of the first convolution's 64 channels; blocks as in arcface_torch's two."""
    scale = max(1, _first_channels(shapes) // 64)
    if "dw_conv.pointwise.weight" in shapes:
        yield {"scale": scale, "style": "foamliu"}
    for blocks in ("1,4,6,2", "2,8,12,4"):
        for output in ("GDC", "E", "GAP", "GNAP"):
            yield {"scale": scale, "blocks": blocks, "output": output}


def _outputs(shapes: Shapes) -> tuple[str, ...]:
    """Output parts with such linear layers, one for each set of arrays.

    E stands for I too, F for G, C for GAP, and X changes no array.
    """
    if any(len(shape) == 4 and shape[1] == 1 and shape[2] > 3 for shape in shapes.values()):
        return ("GDC",)
    linear = [shape for shape in shapes.values() if len(shape) == 2]
    if not linear:
        return ("A", "Z", "GNAP")
    return ("E", "F", "H", "J") if linear[-1][1] > _LARGEST_MEAN else ("B", "C", "D", "GNAP")


def _first_kernel(shapes: Shapes) -> int:
    return next((shape[-1] for shape in shapes.values() if len(shape) == 4), 0)


def _first_channels(shapes: Shapes) -> int:
    return next((shape[0] for shape in shapes.values() if len(shape) == 4), 0)
