"""Learning from a teacher: a trained network whose embeddings the backbone is to learn too.

What is learned is loss_weight · L + teacher_weight · d, L the loss over classes and d the mean of 1 - cosine
between the embedding of an image and the teacher's of the same image, as it was cut, mirrored and changed.
Directions alone are compared, since they are all that a verification sees (embedding distillation in the
sense of Romero et al. 2015, arXiv 1412.6550, with a cosine for the distance).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from arcterm_registry import Preprocess
from torch import Tensor, nn
from torch.nn import functional as F

from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.export import model
from arcterm.formats.modelfile import read_facts
from arcterm.train import precision
from arcterm.verify.embed import normalize
from arcterm.verify.fold import fold_if_any


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode on this rank's device; `precision` is that of the backbone."""

    network: nn.Module
    preprocess: Preprocess
    precision: str
    weight: float
    loss_weight: float

    @classmethod
    def load(cls, config: TrainConfig, device: torch.device) -> Teacher | None:
        """Load the teacher of `config`; None if it has none. Raises `DataError` if it can't be read."""
        if not config.teacher:
            return None
        path = Path(config.teacher)
        facts = read_facts(path) if path.is_file() else None
        if facts is None:
            raise DataError(
                f"the teacher's weights {path} are not there", "put that file back, or begin a new run"
            )
        network = fold_if_any(model.load(path, facts).network, facts.input_size).requires_grad_(False)
        network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if precision.dtype(config.precision, device) != torch.float32:
            images = torch.zeros(2, 3, *facts.input_size, device=device)
            precision.keep_embedding_exact(network, images)
        return cls(network, facts.preprocess, config.precision, config.teacher_weight, config.loss_weight)

    def distance(self, images: Tensor, embeddings: Tensor) -> Tensor:
        """Mean of 1 - cosine over `images` (B, H, W, 3) uint8, for `embeddings` (B, D); 0-d float32.

        Its gradient reaches the `embeddings` alone. An embedding of length 0 has a cosine of 0.
        """
        with torch.no_grad(), precision.autocast(self.precision, images.device):
            wanted = self.network(normalize(images, self.preprocess))
        # float32: near a cosine of 1 half precision goes in steps of 0.004
        return 1 - F.cosine_similarity(embeddings.float(), wanted.float(), dim=1).mean()

    def combine(self, loss: Tensor, distance: Tensor) -> Tensor:
        """Return what is learned: both by their weights.

        `distance` is of this rank's images, `loss` of the global batch with a gradient that DDP's mean over
        the ranks makes whole; that mean makes the whole batch's of `distance` too.
        """
        return self.loss_weight * loss + self.weight * distance
