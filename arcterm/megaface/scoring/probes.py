"""The probes of a scoring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ProbeVectors:
    """Normalised `vectors` (P, D) float32, and the number of the person (P,) whom each shows."""

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]

    @property
    def people_count(self) -> int:
        """How many people there are."""
        return len(np.unique(self.people))
