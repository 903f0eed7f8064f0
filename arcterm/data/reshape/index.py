"""The index of a record file made again from the records, which say their own keys."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import JobReport
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import staged_file, stamp
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordFile
from arcterm.runs.context import JobContext

_LARGEST = 10**18
_LINES = 100_000


def make_index(job: JobContext, src: str) -> JobReport:
    """Write the ``.idx`` of the record file `src`, or of the pack in that directory, in the file's order.

    A record's key is the id in its header, as MXNet's packers write it; where ids repeat, the records are
    numbered from 0, as MXNet's rec2idx does. A stopped job goes on where it was. Raises `DataError` if there
    is an index, or a damaged record.
    """
    records_path = Path(src) / "train.rec" if Path(src).is_dir() else Path(src)
    place = records_path.with_suffix(".idx")
    if place.exists():
        raise DataError(f"{place} already exists", "if it is wrong, move it away first")
    records = RecordFile(records_path)
    job.require_unchanged(stamp([records_path]))
    keys, offsets = np.array(_scan(job, records, job.work / "found")).reshape(-1, 2).T
    own = len(np.unique(keys)) == len(keys) and int(keys.max()) < _LARGEST
    columns = np.array([keys if own else np.arange(len(keys)), offsets], np.int64)
    with staged_file(place) as stage, stage.open("wb") as file:
        file.writelines(_lines(columns))
    job.progress(len(records), len(records), "index", "bytes")
    how = "the keys are the records' own" if own else "the records' ids repeat, so they are numbered from 0"
    return JobReport(
        lines=[f"indexed {len(keys):,} records; {how}"],
        data={"path": str(place.resolve()), "records": len(keys), "own_keys": own},
        result=str(place),
    )


def _scan(job: JobContext, records: RecordFile, place: Path) -> array[int]:
    """Scan the ids and offsets of all records, in turns; saved in the file `place` for a resume."""
    found, offset = _kept(place)
    saved = 0
    with place.open("wb") as file:
        for start, payload in records.scan(offset, len(found) // 2):
            source = f"{records.path}: record {len(found) // 2} at byte {start}"
            found.extend((irheader.unpack(payload, source).id, start))
            if job.progress(start, len(records), "index", "bytes"):
                found[saved:].tofile(file)
                saved = len(found)
    return found


def _kept(place: Path) -> tuple[array[int], int]:
    """Read what a stopped attempt found, but for the last record, and the offset of that one."""
    rows = np.fromfile(place, np.int64) if place.exists() else np.zeros(0, np.int64)
    rows = rows[: len(rows) // 2 * 2].reshape(-1, 2)
    # offsets grow; after a crash there may be zeros at the end of a file
    grown = np.append(np.diff(rows[:, 1]) > 0, False)
    rows = rows[: int(np.argmin(grown)) + 1]
    found = array("Q")
    found.frombytes(rows[:-1].tobytes())
    return found, int(rows[-1, 1]) if len(rows) else 0


def _lines(columns: NDArray[np.int64]) -> Iterator[bytes]:
    """The index's lines in blocks."""
    rows = zip(*columns.tolist(), strict=True)
    while block := list(islice(rows, _LINES)):
        yield b"".join(b"%d\t%d\n" % row for row in block)
