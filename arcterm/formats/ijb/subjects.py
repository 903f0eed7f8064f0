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
        fields = line.split(b",", 2)
        if len(fields) < 2:
            raise BadLine("it has 1 field, and begins with template id, subject id")
        template, subject = (
            parse_id(field.strip(b'" \t\r'), what)
            for field, what in zip(fields, ("template id", "subject id"), strict=False)
        )
        if found.setdefault(template, subject) != subject:
            raise BadLine(f"template {template} is of subject {subject} here, of {found[template]} above")
        rows += 1

    for block in read_blocks(path):
        header = block.first == 1 and not block.data[:1].isdigit()
        rest = Block(block.data.partition(b"\n")[2], 2) if header else block
        if rest.data and not parse_lines(rest, path, parse, problems):
            break
    table = np.array(sorted(found.items()), np.int32).reshape(-1, 2)
    return Subjects(table[:, 0].copy(), table[:, 1].copy(), rows)
