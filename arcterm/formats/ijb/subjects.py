"""The CSV files of identification: template id and subject id in the first two columns, one line an image."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.ijb.lines import Block, parse_id, parse_lines, read_blocks
from arcterm.formats.ijb.problems import BadLine, Problems


class Subjects(NamedTuple):
    """Ids of T templates, ascending, and of the subject of each, (T,) int32 each; `rows` of the file."""

    templates: NDArray[np.int32]
    subjects: NDArray[np.int32]
    rows: int


def read_subjects(path: Path, problems: Problems) -> Subjects:
    """Read the subject of each template; bad lines, and a template of two subjects, go to `problems`."""
    found, rows = dict[int, int](), 0

    def parse(line: bytes) -> None:
        nonlocal rows
        fields = _split(line)
        if len(fields) < 2:
            raise BadLine("it has 1 field, and begins with template id, subject id")
        template, subject = parse_id(fields[0], "template id"), parse_id(fields[1], "subject id")
        if found.setdefault(template, subject) != subject:
            raise BadLine(f"template {template} is of subject {subject} here, of {found[template]} above")
        rows += 1

    for block in read_blocks(path):
        if block.first == 1 and _is_header(block.data.partition(b"\n")[0]):
            block = Block(block.data.partition(b"\n")[2], 2)  # noqa: PLW2901
        if block.data and not parse_lines(block, path, parse, problems):
            break
    table = np.array(sorted(found.items()), np.int32).reshape(-1, 2)
    return Subjects(table[:, 0].copy(), table[:, 1].copy(), rows)


def _split(line: bytes) -> list[bytes]:
    return [field.strip(b'" \t\r') for field in line.split(b",", 2)]


def _is_header(line: bytes) -> bool:
    """Return whether a first line has names of columns; one with a number is a row, be it a bad one."""
    fields = _split(line)
    return len(fields) > 1 and not any(field.isdigit() for field in fields[:2])
