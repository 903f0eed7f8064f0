"""The networks of one or several models that embed pictures together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from arcterm_registry import Preprocess
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.errors import DataError
from arcterm.export.model import open_model
from arcterm.files import Stamp, digests, stamp
from arcterm.formats.modelfile import ModelFacts
from arcterm.inputs import models as places
from arcterm.inputs import preprocess
from arcterm.runs.context import JobContext
from arcterm.verify.embed import normalize
from arcterm.verify.exact import exact
from arcterm.verify.fold import fold_if_any
from arcterm.verify.ranks import RankGroup

_FILES = ("weights", "file", "onnx", "symbol", "params")
"""The files of a model's place."""


@dataclass(frozen=True)
class Networks:
    """Networks in evaluation mode on a rank's device, with their models' facts and files.

    All take images of one size.
    """

    facts: list[ModelFacts]
    networks: list[nn.Module]
    ranks: RankGroup
    files: list[list[Path]]

    @property
    def input_size(self) -> tuple[int, int]:
        return self.facts[0].input_size

    @property
    def sizes(self) -> list[int]:
        """Size of each network's embedding."""
        return [facts.embedding_size for facts in self.facts]

    def stamp(self) -> Stamp:
        """Return the state of the models' files, to be compared with that of another time."""
        return stamp(path for files in self.files for path in files)

    def views(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """Embed RGB (N, H, W, 3): of each network (N, 2, D) float32, the image's and its mirror image's."""
        raw = torch.from_numpy(pixels).to(self.ranks.device)
        made: dict[Preprocess, Tensor] = {}
        found = []
        with torch.inference_mode(), exact():
            for facts, network in zip(self.facts, self.networks, strict=True):
                if (wanted := facts.preprocess) not in made:
                    made[wanted] = normalize(raw, wanted)
                x = made[wanted]
                found.append(torch.stack([network(x).float(), network(x.flip(3)).float()], dim=1))
        return found

    def record(self) -> list[dict[str, Any]]:
        """Return what results say of each model: source, digests of its files, how images enter."""
        return [
            {
                "model": facts.source,
                "backbone": facts.backbone,
                "step": facts.step,
                "input": facts.input_words,
                "embedding_size": facts.embedding_size,
                "sha256": digests(files),
            }
            for facts, files in zip(self.facts, self.files, strict=True)
        ]


def open_networks(
    context: JobContext, models: Sequence[str], *, channels: str = "", mean: str = "", std: str = ""
) -> Networks:
    """Open the models at the paths `models` on this rank's device, with batch norms folded.

    `channels`, `mean` and `std` say how images enter a file that doesn't. Raises `DataError`, also for models
    that take images of different sizes.
    """
    known = preprocess.parse_preprocess(channels=channels, mean=mean, std=std)
    ranks = cast(RankGroup, context.world)
    facts, networks, files = [], [], []
    for number, model in enumerate(models):
        context.progress(number, len(models), "loading", Path(model).name)
        place = places.locate(model, context.run.path.parent)
        found = open_model(place, known)
        files.append([Path(place[key]) for key in _FILES if key in place])
        if found.facts.input_basis:
            context.say(f"{Path(model).name} takes {found.facts.input_words}")
        network: nn.Module = found.network.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        networks.append(fold_if_any(network, found.facts.input_size, context.say))
        facts.append(found.facts)
    sizes = {each.input_size for each in facts}
    if len(sizes) > 1:
        shown = ", ".join(f"{each.source} {each.input_size[1]}×{each.input_size[0]}" for each in facts)
        raise DataError(f"the models take images of different sizes: {shown}", "embed them one by one")
    return Networks(facts, networks, ranks, files)
