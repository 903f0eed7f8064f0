"""``x_template_pair_label.txt``: millions of lines of two template ids and 1 for same or 0 for different."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.ijb.lines import parse_id, parse_lines, read_blocks
from arcterm.formats.ijb.problems import BadLine, Problems, quote

# possessive: a long block is matched without a way back
_PLAIN = re.compile(rb"(?:[0-9]{1,9}+[ \t]++[0-9]{1,9}+[ \t]++[01][ \t]*+\r?+\n)*+")


class TemplatePairs(NamedTuple):
    """P pairs of templates, (P,) int32 ids each, and whether both are of one person, (P,) bool."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    same: NDArray[np.bool_]


def read_pairs(path: Path, problems: Problems) -> TemplatePairs:
    """Read all pairs; bad lines go to `problems`.

    No line becomes a Python object: as texts, 15.7 million lines would take gigabytes.
    """
    tables = [np.empty((0, 3), np.int32)]
    for block in read_blocks(path):
        if not _PLAIN.fullmatch(block.data) and not parse_lines(block, path, _check_line, problems):
            break
        tables.append(np.fromstring(block.data, np.int32, sep=" ").reshape(-1, 3))
    table = np.concatenate(tables)
    return TemplatePairs(table[:, 0].copy(), table[:, 1].copy(), table[:, 2] == 1)


def _check_line(line: bytes) -> None:
    fields = line.split()
    if len(fields) != 3:
        raise BadLine(f"it has {len(fields)} field{'s' * (len(fields) != 1)}, not 3")
    parse_id(fields[0], "template id")
    parse_id(fields[1], "template id")
    if fields[2] not in (b"0", b"1"):
        raise BadLine(f"the label {quote(fields[2])} is not 0 or 1")
