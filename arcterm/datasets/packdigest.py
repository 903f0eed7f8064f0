"""The fingerprint of a face pack, and the labels that were read for it."""

from __future__ import annotations

import mmap
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from arcterm.datasets.sameness import BYTES, SAMPLE, TrainDigest, spread
from arcterm.formats.recordio.container import RecordFile
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.recordindex import read_index

LABELS = 1 << 17
"""Images whose labels are read in a pack of more than 1 GiB: each is a page of its own to read.

The first image of each person, evenly chosen where there are more people; without identity records any
images, evenly from the first to the last.
"""
_SMALL = 1 << 30
_HEAD = 40  # bytes: a frame of 8, IRHeader's 24, and two labels behind it
_LENGTH = (1 << 29) - 1


class PackDigest(NamedTuple):
    """`train` awaits the verification sets' digest; `labels` (n,) float32 are those of the images read.

    `complete` says whether these are all images.
    """

    train: TrainDigest
    labels: NDArray[np.float32]
    complete: bool


def digest(pack: FacePack) -> PackDigest:
    """Digest classes and image size, all keys and places of records, labels, identity ranges and contents."""
    records = RecordFile(pack.directory / "train.rec")
    index = read_index(pack.directory / "train.idx", len(records))
    first = index.position(pack.key(0)) or 0
    images = slice(first, first + len(pack))
    offsets = index.offsets[images]
    others = np.concatenate([index.offsets[: images.start], index.offsets[images.stop :]])
    ranges = _heads(records.view, others)
    everything = len(pack) <= LABELS or len(records) <= _SMALL
    chosen = np.arange(len(pack)) if everything else _chosen(pack, ranges)
    heads = _heads(records.view, offsets[chosen])
    made = TrainDigest("pack")
    made.add("property", f"{pack.classes} {pack.image_size}".encode())
    made.add_numbers("keys", index.keys)
    made.add_numbers("offsets", index.offsets)
    made.add("size", str(len(records)).encode())
    made.add("labels", heads.tobytes())
    made.add("ranges", ranges.tobytes())
    for place in offsets[spread(len(pack), SAMPLE)].tolist():
        length = int.from_bytes(records.view[place + 4 : place + 8], "little") & _LENGTH
        made.add("image", records.view[place : place + 8 + min(length, BYTES)])
    return PackDigest(made, _labels(heads), everything)


def _chosen(pack: FacePack, ranges: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Images whose labels are read: each identity record's first one, or any; the last one of all too."""
    if not pack.identities:
        return spread(len(pack), LABELS)
    keys = _labels(ranges[-pack.identities :])
    firsts = keys.clip(1, len(pack)).astype(np.int64) - 1
    return np.unique(np.append(firsts[spread(len(firsts), LABELS)], len(pack) - 1))


def _heads(view: memoryview, offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(n, 40) uint8: the first bytes of the records at `offsets`, zeros behind the file's end."""
    data = np.frombuffer(view, np.uint8)
    found = np.zeros((len(offsets), _HEAD), np.uint8)
    inside = offsets + _HEAD <= len(data)
    if inside.any():
        _expect(view, offsets)
        found[inside] = sliding_window_view(data, _HEAD)[offsets[inside]]
    for row in np.flatnonzero(~inside):
        rest = data[offsets[row] :]
        found[row, : len(rest)] = rest
    return found


def _expect(view: memoryview, offsets: NDArray[np.int64]) -> None:
    """Have the system read the pages at `offsets` all at once, instead of each when it is looked at."""
    mapped = view.obj
    if len(offsets) <= LABELS and isinstance(mapped, mmap.mmap):
        for page in np.unique(offsets // mmap.PAGESIZE).tolist():
            mapped.madvise(mmap.MADV_WILLNEED, page * mmap.PAGESIZE, mmap.PAGESIZE)


def _labels(heads: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n,) float32: the label in the header, or the first behind it; -1 for what is no number."""
    flag = heads[:, 8:12].copy().view("<u4")[:, 0]
    own = heads[:, 12:16].copy().view("<f4")[:, 0]
    behind = heads[:, 32:36].copy().view("<f4")[:, 0]
    found = np.where(flag == 0, own, behind)
    return np.where(np.isfinite(found), found, np.float32(-1))
