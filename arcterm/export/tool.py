"""``python -m arcterm.export.tool VERB PARENT``: short work on models, for `processes.child`."""

from __future__ import annotations

import os
import sys
from typing import Any

from arcterm.processes import child
from arcterm.processes.startup import imports
from arcterm.progress import Progress


def _work(verb: str, request: dict[str, Any], progress: Progress) -> Any:
    with imports.lasting():
        import torch

        from arcterm.export.verbs import VERBS

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return VERBS[verb](request, progress)


if __name__ == "__main__":
    sys.exit(child.serve(_work))
