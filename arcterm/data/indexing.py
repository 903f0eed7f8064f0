"""The index of a record file made again from the records, which say their own keys."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.data.job import Job
from arcterm.errors import DataError
from arcterm.formats import irheader
from arcterm.formats.recordio import RecordFile
from arcterm.formats.staging import staged_file
from arcterm.runs.report import Report

_LARGEST = 10**18
_LINES = 100_000


def make_index(job: Job, src: str) -> Report:
    """Write the ``.idx`` of the record file `src`, or of the pack in that directory, in the file's order.

    A record's key is the id in its header, as MXNet's packers write it; where ids repeat, the records are
    numbered from 0, as MXNet's rec2idx does. Raises `DataError` if there is an index, or a damaged record.
    """
    records_path = Path(src) / "train.rec" if Path(src).is_dir() else Path(src)
    place = records_path.with_suffix(".idx")
    if place.exists():
        raise DataError(f"{place} already exists", "if it is wrong, move it away first")
    records = RecordFile(records_path)
    ids, offsets = array("Q"), array("q")
    for offset, payload in records.scan():
        source = f"{records_path}: record {len(ids)} at byte {offset}"
        ids.append(irheader.unpack(payload, source).id)
        offsets.append(offset)
        job.tell("index", offset, len(records), "bytes")
    keys = np.array(ids, np.uint64)
    own = len(np.unique(keys)) == len(keys) and int(keys.max()) < _LARGEST
    columns = np.array([keys.astype(np.int64) if own else np.arange(len(keys)), offsets])
    with staged_file(place) as stage, stage.open("wb") as file:
        file.writelines(_lines(columns))
    job.tell("index", len(records), len(records), "bytes")
    how = "the keys are the records' own" if own else "the records' ids repeat, so they are numbered from 0"
    return Report(
        lines=[f"indexed {len(keys):,} records; {how}"],
        data={"path": str(place.resolve()), "records": len(keys), "own_keys": own},
        result=str(place),
    )


def _lines(columns: NDArray[np.int64]) -> Iterator[bytes]:
    """The index's lines in blocks."""
    rows = zip(*columns.tolist(), strict=True)
    while block := list(islice(rows, _LINES)):
        yield b"".join(b"%d\t%d\n" % row for row in block)
