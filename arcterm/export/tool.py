"""Short work on models, in a process of its own that ends with it.

python -m arcterm.export.tool VERB PARENT

A JSON request comes on stdin; JSON lines go to stdout as `processes.child` reads them. Output of plug-ins
goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

from arcterm import parent_death
from arcterm.errors import ArctermError
from arcterm.progress import Progress


def main() -> int:
    """Answer one request; 0 if there is an answer, be it an error."""
    parent_death.tie_to(int(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"result": _answer(sys.argv[1], request, _reported(answers))}
    except ArctermError as error:
        told = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
        answer = {"error": told}
    _put(answers, answer)
    return 0


def _answer(verb: str, request: dict[str, Any], progress: Progress) -> Any:
    import torch

    from arcterm.export.verbs import VERBS

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return VERBS[verb](request, progress)


def _reported(answers: TextIO) -> Progress:
    return lambda done, total, what="": _put(answers, {"progress": [done, total, what]})


def _put(answers: TextIO, told: dict[str, Any]) -> None:
    answers.write(json.dumps(told) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
