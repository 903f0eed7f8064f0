"""The smallest network of every family trains, goes on in the same bits after a stop, and is exported."""

from __future__ import annotations

import pytest
from arcterm_registry import get, names

from arcterm.export import writers
from arcterm.export.model import Model
from arcterm.formats.modelfile import ModelFacts
from arcterm.runs import checkpoints, store
from arcterm.train import build, loop
from arcterm.train.checkpoint import reading
from arcterm.train.world import World

from ..runs.conftest import config
from .test_loop import Dots, Heard, losses

STEPS, SAVED = 2, 1


def smallest() -> list[str]:
    """By module of the factory: its network of the fewest multiply-adds."""
    families: dict[str, str] = {}
    for name in sorted(names("backbone"), key=lambda name: get("backbone", name).gmacs):
        families.setdefault(get("backbone", name).factory.partition(":")[0], name)
    return sorted(families.values())


def small(name: str) -> dict[str, object]:
    """Options with which there is little to compute: a stem that shrinks the image, a short last layer."""
    declared = get("backbone", name)
    wanted = {"embedding_size": 32, "output": "C", "input": 0, "multiplier": 0.125, "blocks": "1,1,1,1"}
    options = {key: declared.option(key) for key in wanted}
    return declared.settings(
        {key: wanted[key] for key, o in options.items() if o and (not o.choices or wanted[key] in o.choices)}
    )


def trained(path, asked, resume=None):
    run = store.create(path, asked, label="x", argv=[], host="h")
    (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
    heard = Heard()
    assert loop.train(run, 1, asked, World(), heard, resume).reason == "done"
    return run, losses(heard)


@pytest.mark.long
@pytest.mark.parametrize("name", smallest())
def test_trains_resumes_and_is_exported(name, tmp_path, monkeypatch):
    data = Dots()
    data.verification = {}
    monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): data)
    options = small(name)
    asked = config(
        backbone=name, backbone_options=options, loss="cosface", nproc=1, batch_size=2, steps=STEPS,
        checkpoint_every=SAVED, verify_every=100, threads=2, epochs=1, lr=1e-4,
    )  # fmt: skip
    run, told = trained(tmp_path / "whole", asked)
    assert len(told) >= 1
    assert all(loss == loss for loss in told)

    place = run.checkpoints / checkpoints.name_of(SAVED)
    again, _ = trained(tmp_path / "resumed", asked, resume=place)
    ends = [r.checkpoints / checkpoints.name_of(STEPS) / checkpoints.BACKBONE for r in (run, again)]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    assert ends[0].read_bytes() != (place / checkpoints.BACKBONE).read_bytes()

    network = get("backbone", name).make(**options)
    reading.load_backbone(ends[0].parent, network)
    facts = ModelFacts(backbone=name, options=options, embedding_size=32)
    # the ONNX exporter takes a minute for hundreds of layers; each kind of layer is in a smaller network too
    form = "onnx" if len(list(network.modules())) < 300 else "torchscript"
    parity = writers.write(Model(facts, network.eval()), form, tmp_path / f"model.{form}", inside=False)
    assert set(parity.differences) == {1, 7}
