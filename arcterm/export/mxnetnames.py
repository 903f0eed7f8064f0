"""Names of layers in the symbol files of 2018, by the names of our modules.

ResNets, DPNs, DenseNets and MobileNet have those that InsightFace's files gave them, by which its programs
find arrays; the other networks, most of whose layers were numbered, have the paths of our modules.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_OUTPUT = {
    "bn2": "bn1",
    "prelu2": "relu1",
    "pool": "pool1",
    "features": "fc1",
    "prelu3": "fc1_relu",
    "gdc": "conv_6dw7_7_conv2d",
}
"""Of the output part; what the fully connected layer is called depends on what follows it."""

_UNIT = {"prelu": "relu1", "downsample_0": "conv1sc", "downsample_1": "sc", "se_prelu": "se_relu1"}
_STEM = {"conv1": "conv0", "bn1": "bn0", "prelu": "relu0", "maxpool": "pooling0"}
_DUAL = {"a": "c1x1-a", "b": "c3x3-b", "c": "c1x1-c"}
_DUAL_LAYERS = ("__bn__bn", "__ac__relu", "__conv")
_DENSE = ("bn1", "relu1", "conv1", "dp1", "bn2", "relu2", "conv2", "dp2")
_TRANSITION = ("bn1", "relu1", "conv1", "dp1", "pool")
_MOBILE = ("conv2d", "batchnorm", "relu")


def names_for(paths: list[str]) -> dict[str, str]:
    """Return a name for each module of `paths`, which are a network's in order of use; no two are alike."""
    family = next((name for sign, name in _FAMILIES if any(re.match(sign, path) for path in paths)), None)
    if family is None:
        return {path: path.replace(".", "_") for path in paths[:-1]} | {paths[-1]: "fc1"}
    named = family(paths)
    return {path: named.get(path) or _output(path, paths) for path in paths}


def _output(path: str, paths: list[str]) -> str:
    """Name a layer of the output part."""
    head, _, last = path.rpartition(".")
    beside = {other.rpartition(".")[2] for other in paths if other.rpartition(".")[0] == head}
    if last == "fc":
        return "pre_fc1" if beside & {"features", "pool"} else "fc1"
    if last == "bn2" and "gdc" in beside:
        return "conv_6dw7_7_batchnorm"
    return _OUTPUT.get(last, path.replace(".", "_"))


def _unit(path: str) -> str:
    """Name a part of a residual unit; ``prelu2`` is its second activation."""
    name = path.replace(".", "_")
    return _UNIT.get(name, re.sub(r"^prelu(\d)$", r"relu\1", name))


def _resnet(paths: list[str]) -> dict[str, str]:
    named = {path: name for path, name in _STEM.items() if path in paths}
    for path in paths:
        if found := re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", path):
            named[path] = f"stage{found[1]}_unit{int(found[2]) + 1}_{_unit(found[3])}"
    return named


def _mobilenet(paths: list[str]) -> dict[str, str]:
    named = {str(place): f"conv_1_{name}" for place, name in enumerate(_MOBILE)}
    for path in paths:
        if found := re.fullmatch(r"(\d+)\.(\d+)", path):
            pair, place = int(found[1]) - 1, int(found[2])
            named[path] = f"conv_{pair}{'_dw' * (place < 3)}_{_MOBILE[place % 3]}"
    return named


def _stem(paths: list[str]) -> dict[str, str]:
    """Name the layers of the stem that DPN and DenseNet share."""
    found = [path.removeprefix("stem.") for path in paths if path.startswith("stem.")]
    reducing = {path: f"head_{_unit(path.removeprefix('reduce.'))}" for path in found if "reduce." in path}
    return {f"stem.{path}": reducing.get(path, path) for path in found}


def _dpn(paths: list[str]) -> dict[str, str]:
    named = _stem(paths)
    for path in paths:
        if found := re.fullmatch(r"stages\.(\d)\.(\d+)\.(\w+)\.(\d)", path):
            stage, block, part, layer = found.groups()
            inside = _DUAL.get(part, f"c1x1-w(s/{1 if stage == '0' else 2})")
            named[path] = f"conv{int(stage) + 2}_x__{int(block) + 1}_{inside}{_DUAL_LAYERS[int(layer)]}"
    return named


def _densenet(paths: list[str]) -> dict[str, str]:
    """Name blocks and the transitions between them; the units of a block are counted anew."""
    named = _stem(paths)
    stage, unit, seen, place = 1, 0, "", 0
    for path in paths:
        if found := re.fullmatch(r"stages\.(\d+)\.body\.(\d)", path):
            if place:
                stage, unit, place = stage + 1, 0, 0
            unit += found[1] != seen
            seen = found[1]
            named[path] = f"DBstage{stage}_unit{unit}_{_DENSE[int(found[2])]}"
        elif re.fullmatch(r"stages\.\d+", path):
            named[path] = f"TBstage{stage}_{_TRANSITION[place]}"
            place += 1
    return named


_FAMILIES: tuple[tuple[str, Callable[[list[str]], dict[str, str]]], ...] = (
    (r"layer1\.0\.", _resnet),
    (r"stages\.0\.0\.a\.", _dpn),
    (r"stages\.0\.body\.", _densenet),
    (r"3\.5$", _mobilenet),  # the sixth layer of the first pair
)
"""How a family is known by one of its paths, and what names its layers."""
