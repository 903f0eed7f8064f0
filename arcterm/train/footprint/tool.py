"""``python -m arcterm.train.footprint.tool VERB PARENT``: what a training needs, for `processes.child`."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from arcterm import gpus
from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.processes import child
from arcterm.processes.startup import imports
from arcterm.progress import Progress
from arcterm.train.footprint.together import Worker, together


def memory(request: Mapping[str, Any]) -> dict[str, Any]:
    """Follow the training of ``config`` at each of the ``batches``: bytes by part (`trace.follow`).

    Where that can't be done without values, two small batches are trained on; ``tried`` are theirs.
    """
    from arcterm.train.footprint import trace

    config = msgspec.convert(request["config"], TrainConfig)
    batches: list[int] = request["batches"]
    try:
        return {"parts": [trace.follow(config, batch) for batch in batches], "batches": batches}
    except Exception as error:  # noqa: BLE001  whatever a stranger's network does with tensors without values
        small = [2, 4]
        tried = [trace.follow(config, batch, real=True) for batch in small]
        return {"parts": tried, "batches": small, "tried": f"{type(error).__name__}: {error}"[:200]}


_PIECES = {"traffic": 1, "pace": 5, "exchange": 4, "loader": 1, "disk": 1}
"""Pieces of each, of some seconds: steps with few images and with many, the head in three sizes, …"""


class _PieceCount:
    """Counts pieces of work: one by one where they are done, and all of them where that is waited for."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._progress = progress
        self.reach(0)

    def one(self) -> None:
        self.reach(self.done + 1)

    def reach(self, done: int) -> None:
        self.done = done
        self._progress(done, self._total)


def constants(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure on this machine what the plan of a training of ``config`` with ``classes`` people takes.

    ``ranks`` processes work at once, as on a host of the training. ``wanted`` are ``pace``, ``exchange``,
    ``loader``, ``disk``, and ``traffic``, which is counted and the same on any machine; the answer has each.
    ``free`` bytes of memory are there for each process, ``folder`` is on the disk of the runs.
    """
    config = msgspec.convert(request["config"], TrainConfig)
    ranks, wanted = request["ranks"], request["wanted"]
    _show(config, max(ranks, 2) if "exchange" in wanted else ranks)
    found: dict[str, Any] = {}
    pieces, before = _PieceCount(sum(_PIECES[name] for name in wanted), progress), 0
    for name, count, work in _probes(config, request):
        if name in wanted:
            found[name] = together(count, partial(_begin, config, work), pieces.one)[0]
            before += _PIECES[name]
            pieces.reach(before)
    return msgspec.to_builtins(found)  # type: ignore[no-any-return]


def _show(config: TrainConfig, count: int) -> None:
    """Let CUDA see the GPUs of the config, `count` at most: it looks when it is first used."""
    if config.gpus:
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        found = gpus.assign(config.gpus)[:count]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(device.name for device in found)


def _probes(
    config: TrainConfig, request: Mapping[str, Any]
) -> Iterator[tuple[str, int, Callable[[Worker], Any]]]:
    from arcterm.train.footprint import exchange, flow, pace

    ranks = request["ranks"]
    classes, free = request.get("classes", 2), request.get("free", 0)
    yield "traffic", 1, lambda worker: pace.count(config)
    yield "pace", ranks, lambda worker: pace.measure(config, classes, free, worker)
    with tempfile.TemporaryDirectory(prefix="arcterm-probe-") as folder:
        store = Path(folder) / "ranks"
        yield "exchange", max(ranks, 2), lambda worker: exchange.measure(config.device, worker, store)
    yield "loader", ranks, lambda worker: flow.loader(config, ranks, worker)
    yield "disk", ranks, lambda worker: flow.disk(config, Path(request["folder"]), worker)


def _begin(config: TrainConfig, work: Callable[[Worker], Any], worker: Worker) -> Any:
    import torch

    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    return work(worker)


def groups(request: Mapping[str, Any]) -> dict[str, Any]:
    """Count the parameters of the backbone of ``config`` by how they are updated, in ``words``.

    Raises `ConfigError` if it does not have what is to be frozen or set. A backbone that can't be made
    without memory is made with it; what else goes wrong is left to the run.
    """
    import torch

    from arcterm.train import build
    from arcterm.train.optim import groups as sharing

    config = msgspec.convert(request["config"], TrainConfig)
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                network = build.backbone(config, torch.device(device))
            return {"words": sharing.words("backbone", network, sharing.of_backbone(network, config))}
        except ConfigError:
            raise
        except Exception:  # noqa: BLE001, S112  a plug-in's, which its run reports
            continue
    return {"words": ""}


VERBS: dict[str, Callable[[Mapping[str, Any], Progress], dict[str, Any]]] = {
    "memory": lambda request, progress: memory(request),
    "constants": constants,
    "groups": lambda request, progress: groups(request),
}


def _work(verb: str, request: Mapping[str, Any], progress: Progress) -> Any:
    with imports.lasting():
        import torch

        from arcterm.train import build  # noqa: F401  what every verb needs

    warnings.simplefilter("ignore")  # of tensors without values, which have no address
    torch.set_num_threads(1)
    return VERBS[verb](request, progress)


if __name__ == "__main__":
    sys.exit(child.serve(_work))
