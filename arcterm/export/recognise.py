"""Recognition of the backbone that a file's weights belong to, by names and shapes."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from arcterm_registry import Backbone, OptionError, PluginError, get, names
from arcterm_registry.declare import resolve
from torch import nn

from arcterm.commandline import Value
from arcterm.errors import DataError
from arcterm.export.layers import Difference, Layer, difference, in_order, shape_of
from arcterm.overrides import options_for

Shapes = Mapping[str, tuple[int, ...]]
_ALIKE = 0.9
_MOST = 16  # times as large or as small may options make a network
_TRIED = 3  # backbones of which other options are tried; each is a network to build


@dataclass(frozen=True)
class Candidate:
    """A backbone with options, as a network without values on torch's meta device.

    `usual` if all are as declared but the embedding's size and what is known.
    """

    name: str
    declared: Backbone
    options: dict[str, Value]
    network: nn.Module
    usual: bool = True


@dataclass(frozen=True)
class Match:
    """The backbone that a file fits: `by_name` if the arrays have its names, else layer by layer."""

    candidate: Candidate
    by_name: bool


def find(
    shapes: Shapes,
    layers: Sequence[Layer],
    among: Sequence[str],
    given: Mapping[str, Any],
    own_names: Mapping[str, str] | None = None,
) -> Match:
    """Find the backbone, one of `among`, whose arrays have these names and shapes, or its layers the shapes.

    `shapes` are the file's arrays by name, `layers` the same in order of use. `given` are options that are
    known; `own_names` are the file's names where `shapes` has others. A file with more than the whole of a
    backbone counts as that one if none fits exactly. Raises `DataError` naming the closest backbone and where
    it differs.
    """
    closest: tuple[tuple[float, float], Candidate] | None = None
    larger: Candidate | None = None
    for candidate in candidates(shapes, layers, among, given):
        by_name = _names_fit(candidate, shapes)
        if by_name == "exactly":
            return Match(candidate, by_name=True)
        likeness = _likeness(candidate, shapes, layers)
        if likeness[0] == 1 and _apart(candidate, layers) is None:
            return Match(candidate, by_name=False)
        if by_name and larger is None:
            larger = candidate
        if closest is None or sum(likeness) > sum(closest[0]):
            closest = likeness, candidate
    if larger is not None:
        return Match(larger, by_name=True)
    raise DataError(*_no_match(closest, shapes, layers, own_names or {}))


def candidates(
    shapes: Shapes, layers: Sequence[Layer], among: Sequence[str], given: Mapping[str, Any]
) -> Iterator[Candidate]:
    """Yield each backbone with its defaults, those of about the file's size first, then with other options.

    Those are the most alike in what options change little; options are what they find worth trying.
    """
    size = sum(math.prod(shape) for shape in shapes.values()) or 1
    declared = sorted(_declared(among), key=lambda pair: abs(math.log(pair[1].parameters / size)))
    usual: list[Candidate] = []
    for name, backbone in declared:
        made = list(_made(name, backbone, {**_size(backbone, layers), **given}))
        usual += made or _made(name, backbone, given)
        yield from made
    about = [c for c in usual if c.declared.variants and 1 / _MOST < c.declared.parameters / size < _MOST]
    for found in sorted(about, key=lambda candidate: _unlike(_arrays(candidate), shapes))[:_TRIED]:
        for options in resolve(found.declared.variants)(shapes):
            asked = {**_size(found.declared, layers), **options, **given}
            for candidate in _made(found.name, found.declared, asked):
                yield replace(candidate, usual=False)


def _unlike(ours: Shapes, theirs: Shapes) -> tuple[bool, float]:
    """Compare convolutions wider than a pixel of two networks: whether most are depthwise, and how many."""

    def kinds(shapes: Shapes) -> tuple[bool, int]:
        wide = [shape for shape in shapes.values() if len(shape) == 4 and shape[3] > 1]
        return sum(shape[1] == 1 for shape in wide) > len(wide) / 2, 1 + len(wide)

    (here, ours_wide), (there, theirs_wide) = kinds(ours), kinds(theirs)
    return here != there, abs(math.log(ours_wide / theirs_wide))


def _arrays(candidate: Candidate) -> Shapes:
    """Names and shapes of a network's arrays, counters left out."""
    return {k: tuple(v.shape) for k, v in candidate.network.state_dict().items() if _counts(k)}


def _size(declared: Backbone, layers: Sequence[Layer]) -> Mapping[str, Value]:
    """Read the embedding's size from the last layer, if the backbone can have that."""
    option = declared.option("embedding_size")
    if option is None or not layers or not layers[-1].shape:
        return {}
    try:
        return {"embedding_size": option.check(layers[-1].shape[0])}
    except OptionError:
        return {}


def _declared(among: Sequence[str]) -> Iterator[tuple[str, Backbone]]:
    for name in among:
        with contextlib.suppress(PluginError):  # `arcterm plugins` lists broken ones
            yield name, get("backbone", name)


def _made(name: str, declared: Backbone, options: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yield the candidate, or nothing if the options do not go together or the plug-in is broken."""
    wanted = {key: value for key, value in options.items() if declared.option(key)}
    try:
        values = options_for(declared.options, wanted, f"backbone {name}")
        declared.check_together(values)
        with torch.device("meta"):
            network = declared.make(**values)
    except Exception:  # noqa: BLE001  whatever a stranger's factory raises
        return
    if isinstance(network, nn.Module):
        yield Candidate(name, declared, values, network)


def _names_fit(candidate: Candidate, shapes: Shapes) -> Literal["exactly", "and more", ""]:
    """Whether every array of the network is in the file, and whether the file has no more.

    More may only be what stands beside the usual network: a unit more in one of its stages is another one,
    and options may leave out any part.
    """
    wanted = _arrays(candidate)
    if any(shapes.get(key) != shape for key, shape in wanted.items()):
        return ""
    parts = {key.partition(".")[0] for key in wanted}
    more = {key.partition(".")[0] for key in shapes if _counts(key) and key not in wanted}
    if not more:
        return "exactly"
    inside = any(part in parts or part.isdigit() for part in more)
    return "and more" if candidate.usual and not inside else ""


def _counts(key: str) -> bool:
    return not key.endswith("num_batches_tracked")


def _apart(candidate: Candidate, layers: Sequence[Layer]) -> Difference | None:
    return difference(list(layers), in_order(candidate.network, candidate.declared.input_size))


def _likeness(candidate: Candidate, shapes: Shapes, layers: Sequence[Layer]) -> tuple[float, float]:
    """Shares, 0..1, of layers whose shapes both have, in any order, and of arrays whose names and shapes."""
    ours = Counter(
        shape_of(module) for module in candidate.network.modules() if module._parameters or module._buffers
    )
    theirs = Counter(layer.shape for layer in layers)
    alike = (ours & theirs).total() / max(ours.total(), theirs.total(), 1)
    named = _arrays(candidate).items()
    return alike, len(named & shapes.items()) / max(len(named), len(shapes), 1)


def _parting(
    candidate: Candidate,
    shapes: Shapes,
    layers: Sequence[Layer],
    likeness: float,
    own_names: Mapping[str, str],
) -> str:
    """Word where a file and a network differ: by name if most names are the same, else by order of layers.

    Empty if they are too unlike for one place to say anything.
    """
    wanted = _arrays(candidate)
    if len(wanted.keys() & shapes.keys()) > len(wanted) / 2:
        for key, shape in wanted.items():
            if shapes.get(key) != shape:
                return (
                    f"{own_names.get(key, key)} is {shapes.get(key, 'not there')} in the file, {shape} there"
                )
        more = next(k for k in shapes if _counts(k) and k not in wanted)
        return f"the file also has {own_names.get(more, more)}"
    apart = _apart(candidate, layers) if likeness > _ALIKE else None
    return f"layer {apart.position} of the file is {apart.found}, there {apart.wanted}" if apart else ""


def _no_match(
    closest: tuple[tuple[float, float], Candidate] | None,
    shapes: Shapes,
    layers: Sequence[Layer],
    own_names: Mapping[str, str],
) -> tuple[str, str]:
    advice = (
        "say which it is: `arcterm model import MODEL --backbone NAME --set KEY=VALUE`; "
        f"known: {', '.join(names('backbone'))}"
    )
    if closest is None:
        return "no backbone can be compared with it", advice
    (likeness, _), candidate = closest
    words = " ".join(f"{key}={value}" for key, value in candidate.options.items())
    like = f"{likeness:.0%} are those of {candidate.name} {words}"
    message = f"no known backbone has these {len(layers)} layers; {like}"
    parting = _parting(candidate, shapes, layers, likeness, own_names)
    return message + (f"; {parting}" if parting else ""), advice
