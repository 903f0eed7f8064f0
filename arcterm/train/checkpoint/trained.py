"""What a training makes: the networks, and the optimizers that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.optim import Optimizer

from arcterm.train.head.head import Head
from arcterm.train.head.lazy_adamw import Lazy
from arcterm.train.head.tuples import TupleHead
from arcterm.train.optim.averages import Average


@dataclass(frozen=True)
class Trained:
    """The bare backbone, the head, their optimizers, and the average of the backbone if there is one.

    `statistics` are this rank's own buffers by name, where those of the backbone are the mean over the ranks.
    """

    backbone: nn.Module
    head: Head | TupleHead
    backbone_optimizer: Optimizer
    head_optimizer: Optimizer
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    average: Average | None = None

    @property
    def verified(self) -> nn.Module:
        """The network that is verified and exported."""
        return self.average.network if self.average else self.backbone

    def rows_of_step(self) -> dict[str, Tensor]:
        """The head's parameters by name as the last step saw them, which have its gradients."""
        if isinstance(self.head, TupleHead):
            return dict(self.head.named_parameters())
        rows = self.head_optimizer.leaves if isinstance(self.head_optimizer, Lazy) else self.head.sharded()
        return {**rows, **{name: v for name, v in self.head.replicated().items() if v.requires_grad}}
