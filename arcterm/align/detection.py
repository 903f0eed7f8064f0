"""The detector that an alignment uses: chosen among the registered ones, made, and lent to threads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from arcterm_registry import Detector, PluginError, get, locate, scan
from arcterm_registry.contracts import BoxedFaceDetector, Face, FaceDetector
from numpy.typing import NDArray

from arcterm.errors import ArctermError, ConfigError, DataError, FailedError, is_out_of_memory
from arcterm.overrides import options_for

FIRST = ("mtcnn", "yunet")
"""Tried first, in this order, where no detector is named."""
_ASSIGNMENT = re.compile(r",(?=\s*[A-Za-z_][A-Za-z0-9_]*\s*=)")


class Choice(NamedTuple):
    """A detector, its weights and the options that were given for it."""

    name: str
    declared: Detector
    weights: str
    options: Mapping[str, Any]


def choose(name: str, weights: str, assignments: str) -> Choice:
    """Choose the detector `name`; else the one that takes `weights`, or the first whose weights are here.

    `assignments` are its options, ``key=value`` with commas between them. Raises `PluginError` for a name
    that isn't registered, `ConfigError` for options, and one `DataError` with all ways to get weights.
    """
    if not name and weights:
        name = _by_kind(Path(weights))
    if name:
        declared = _declared(name)
        found = weights or _find_weights(name, declared)
        if found is None:
            raise DataError(f"there are no weights for {name} here", f"{declared.advice}; or give --weights")
    else:
        name, declared, found = _first_found()
    given = dict(_assignment(text) for text in _ASSIGNMENT.split(assignments) if text.strip())
    checked = options_for(declared.options, given, f"detector {name}")
    return Choice(name, declared, found, {key: checked[key] for key in given if key in checked})


def _declared(name: str) -> Detector:
    declared = get("detector", name)
    assert isinstance(declared, Detector)
    return declared


def _by_kind(weights: Path) -> str:
    """Name the detector of a file of this kind: an ONNX file is YuNet's, all else MTCNN's."""
    return "yunet" if weights.suffix.lower() == ".onnx" else "mtcnn"


def _first_found() -> tuple[str, Detector, str]:
    ways = []
    plugins = {p.unique_name: p for p in scan("detector")}
    for name in sorted(plugins, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n)):
        declared = plugins[name].declaration
        if not isinstance(declared, Detector):
            continue
        found = _find_weights(name, declared)
        if found is not None:
            return name, declared, found
        ways.append(f"{name}: {declared.advice}")
    raise DataError(
        "no weights of a face detector are found here",
        "; or ".join(ways) or "install a detector; `arcterm plugins detector` lists them",
    )


def _find_weights(name: str, declared: Detector) -> str | None:
    try:
        return declared.find_weights()
    except ArctermError:
        raise
    except Exception as error:
        raise FailedError(
            f"detector {name} can't look for its weights: {type(error).__name__}: {error}", "give --weights"
        ) from error


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r} has no '='", "write --set key=value, e.g. --set minsize=40")
    return key.strip(), value.strip()


class Detectors:
    """A detector as often as threads can use it. Each call goes to one that no other thread has.

    `wanted` are options of a preset, for a detector that has them and was given no others.
    """

    def __init__(self, choice: Choice, wanted: Mapping[str, object], threads: int) -> None:
        """Make the first one; raises `DataError` for weights that can't be used."""
        self.choice = choice
        known = [option.name for option in choice.declared.options]
        given = {key: value for key, value in wanted.items() if key in known} | dict(choice.options)
        self._values = options_for(choice.declared.options, given, f"detector {choice.name}")
        self.batch = max(1, choice.declared.batch)
        self._free: SimpleQueue[FaceDetector | None] = SimpleQueue()
        first = self._make()
        self.refines = isinstance(first, BoxedFaceDetector)
        self._free.put(first)
        for _ in range(threads - 1 if self.batch == 1 else 0):
            self._free.put(None)  # made by the thread that needs it

    def detect(self, images: Sequence[NDArray[np.uint8]], smallest: Sequence[int] | None) -> list[list[Face]]:
        """The faces of each image; see `contracts.FaceDetector`."""
        with self._lent() as detector, self._named():
            found = detector.detect(images, smallest)
            if len(found) != len(images):
                raise TypeError(f"it gives {len(found)} lists of faces for {len(images)} images")
            return found

    def refine(self, image: NDArray[np.uint8], box: NDArray[np.float64]) -> Face | None:
        """The face in a box, where the detector `refines`; None if there is nothing."""
        with self._lent() as detector, self._named():
            assert isinstance(detector, BoxedFaceDetector)
            return detector.refine(image, box)

    @contextmanager
    def _lent(self) -> Iterator[FaceDetector]:
        detector = self._free.get()
        try:
            detector = detector or self._make()
            yield detector
        finally:
            self._free.put(detector)

    def _make(self) -> FaceDetector:
        with self._named():
            made: FaceDetector = self.choice.declared.make(self.choice.weights, **self._values)
            return made

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the detector in whatever the code of another package raises."""
        try:
            yield
        except (ArctermError, PluginError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            plugin = locate("detector", self.choice.name)
            if plugin.distribution == "arcterm":
                raise
            raise FailedError(
                f"detector {plugin.name} of {plugin.distribution} {plugin.version} failed: "
                f"{type(error).__name__}: {error}",
                "tell its author, with the traceback that `arcterm show` has",
            ) from error
