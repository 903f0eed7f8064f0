"""A run directory without a training."""

from ..runs.conftest import run

__all__ = ["run"]
