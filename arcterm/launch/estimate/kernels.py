"""Whether what compiles code during a training is there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from arcterm_registry import Loss

from arcterm.config import TrainConfig
from arcterm.launch.estimate import room


def missing(loss: Loss, config: TrainConfig) -> tuple[str, dict[str, Any]]:
    """Say what is missing of what the training compiles with, and which settings do without it.

    The head does without its kernels by itself, so no setting is named for them.
    """
    if config.compile and (lacking := room.missing_compiler(cplusplus=not config.gpus)):
        return f"to compile the backbone, {lacking}", {"compile": False}
    if _fuses_head(loss, config) and (lacking := room.missing_compiler(cplusplus=False)):
        return f"without the head's kernels, whose place cuBLAS takes: to compile them, {lacking}", {}
    return "", {}


def _fuses_head(loss: Loss, config: TrainConfig) -> bool:
    """Whether the head's products may go through Triton, which compiles its launchers with a C compiler."""
    half = config.head_precision == "bfloat16" or (
        config.head_precision == "auto" and config.precision != "float16"
    )
    return bool(config.gpus) and half and loss.form == "margin" and find_spec("triton") is not None
