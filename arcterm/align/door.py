"""The door through which other jobs have photos aligned: one photo at a time, from several threads."""

from __future__ import annotations

import threading
from pathlib import Path

from arcterm.align.detection import Choice, Detectors, choose
from arcterm.align.presets import PRESETS
from arcterm.align.steps import Aligner, Photo
from arcterm.errors import ConfigError, DataError
from arcterm.files import Stamp, stamp
from arcterm.formats.images import Pixels
from arcterm.runs.context import JobContext

_NO_FACE = "remove the photo, or find out with `arcterm align SRC DST` what is seen in it"


class FaceFinder:
    """Finds the face of a photo and aligns it to `size` (height, width), as ``--preset folder`` does.

    The detector is made when the first face is to be found: a list may have landmarks of all its images.
    """

    def __init__(self, detector: str, weights: str, size: tuple[int, int], threads: int) -> None:
        self._asked = detector, weights
        self._size, self._threads = size, threads
        self._lock = threading.Lock()
        self._opened: tuple[Choice, Aligner] | None = None

    def open(self) -> Choice:
        """Choose the detector and make it; raises `DataError` if its weights aren't here or fit."""
        with self._lock:
            if self._opened is None:
                choice = choose(*self._asked, "")
                detectors = Detectors(choice, PRESETS["folder"].options, self._threads)
                self._opened = choice, Aligner(PRESETS["folder"], detectors, self._size)
            return self._opened[0]

    def stamp(self) -> Stamp:
        """The state of the weights, for a job that goes on."""
        weights = self.open().weights
        return stamp([Path(weights)]) if weights else []

    def align(self, pixels: Pixels, source: str) -> Pixels:
        """uint8 RGB (*size, 3): the large face near the middle; raises `DataError` naming `source`."""
        self.open()
        assert self._opened is not None
        photo = Photo(source, pixels)
        self._opened[1].align([photo])
        if not photo.made:
            reason = photo.reason if photo.reason.startswith(source) else f"{source}: {photo.reason}"
            raise DataError(reason, _NO_FACE)
        return photo.made[next(iter(photo.made))]


def finder_for(
    job: JobContext, align: bool, detector: str, weights: str, size: tuple[int, int]
) -> FaceFinder | None:
    """The finder that a job's options ask for; None without --align, which the others need."""
    if align:
        return FaceFinder(detector, weights, size, job.threads)
    if detector or weights:
        raise ConfigError(
            f"--{'detector' if detector else 'weights'} is for finding faces", "give --align with it"
        )
    return None
