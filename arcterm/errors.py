"""Errors that users see."""

from __future__ import annotations

import re
from typing import Literal

_OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|STATUS_ALLOC_FAILED|Failed to allocate memory", re.IGNORECASE
)


class ArctermError(Exception):
    """A user's problem: what is wrong in one line, and the next step.

    `exit_code` is what the command line ends with.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


def is_out_of_memory(error: Exception) -> bool:
    """Whether the host or a GPU had no memory left, which says nothing of what was being done.

    PyTorch and onnxruntime raise errors of many meanings in one class, so that their words decide.
    """
    runtime = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime.")
    return isinstance(error, MemoryError) or (runtime and bool(_OUT_OF_MEMORY.search(str(error))))


class StopAskedError(Exception):
    """The user asked the work to stop; its results so far are kept for a resume."""


class ConfigError(ArctermError):
    """A setting that can't be used; the message names the option to change."""

    exit_code = 2


class DataError(ArctermError):
    """A file or record that is not what it should be; names file, key and offset where known."""

    exit_code = 3


class RunError(ArctermError):
    """A run that is missing, busy, or in the wrong state for what was asked."""

    exit_code = 4


class StartError(ArctermError):
    """A run whose processes did not come up."""

    exit_code = 5


class BusyError(RunError):
    """A run whose lock another process holds."""


class FailedError(ArctermError):
    """Work that was begun and could not be done."""

    exit_code = 5


class TrainingError(ArctermError):
    """Training can't go on."""

    exit_code = 5


class NotFiniteError(TrainingError):
    """The loss or a gradient of `step` is no number; the weights are still those of the step before.

    `tensor` names the first that is not finite, and `rank` has it: None if all have. `lr` is the step's rate,
    `remedy` how the supervisor may go on.
    """

    def __init__(
        self,
        message: str,
        hint: str,
        *,
        step: int,
        lr: float,
        tensor: str,
        rank: int | None,
        remedy: Literal["", "lower-lr"] = "",
    ) -> None:
        super().__init__(message, hint)
        self.step, self.lr, self.tensor, self.rank, self.remedy = step, lr, tensor, rank, remedy


class DiskFullError(TrainingError):
    """The disk of the run is full, or a quota is used up; raised by all ranks together."""
