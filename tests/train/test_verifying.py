"""Verification while training: after the checkpoint, without what fails, and of networks that collapsed."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from arcterm_registry import get
from torch import nn

from arcterm.errors import DataError, StopAskedError, TrainingError
from arcterm.files import read_json
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.inputs import models
from arcterm.runs import checkpoints, control, store
from arcterm.runs import manifest as manifests
from arcterm.runs.context import JobContext
from arcterm.runs.describe import describe
from arcterm.runs.diagnosis import Exit
from arcterm.runs.events import Checkpoint, Message, Verify
from arcterm.runs.reader import Reader
from arcterm.runs.reading.summary import Summary
from arcterm.train import build, evaluation, loop, verification
from arcterm.train.checkpoint import writing
from arcterm.train.world import World
from arcterm.verify import ranks

from .. import jobs
from ..runs.conftest import config
from .test_loop import Dots, Heard, Pairs, weights

pytestmark = pytest.mark.long

WAY = {
    "nproc": 1, "steps": 6, "epochs": 1, "batch_size": 8, "checkpoint_every": 3, "verify_every": 3,
    "loss": "cosface", "precision": "float32", "keep_last": 9,
}  # fmt: skip


class Broken(Dots):
    """Dots with further sets: one that can't be read, one with a picture of another size, and others."""

    def __init__(self):
        super().__init__()
        small = [self[i].image for i in range(40)]
        small[7] = small[7][:50]
        few = Pairs([self[i].image for i in range(12)])
        self.verification = Sets(self.verification | {"few": few, "small": Pairs(small)})


class Sets(dict):
    def __iter__(self):
        return iter(["absent", *super().__iter__()])

    def __getitem__(self, name):
        if name == "absent":
            raise KeyError("it went away")
        return super().__getitem__(name)


class Same(Dots):
    def __init__(self):
        super().__init__()
        one = Pairs(self.verification["dots"].images)
        one.same = np.ones(20, bool)
        self.verification = {**self.verification, "one": one}


class NoSets(Dots):
    def __init__(self):
        super().__init__()
        self.verification = {}


@pytest.fixture
def train(tmp_path, monkeypatch):
    def go(dataset=Dots, run=None, resume=None, **changes):
        monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): dataset())
        asked = config(**{**WAY, **changes})
        run = run or store.create(tmp_path / f"{len(heard)}", asked, label="x", argv=[], host="h")
        (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
        heard.append(Heard())
        path = run.checkpoints / checkpoints.name_of(resume) if resume else None
        return run, loop.train(run, 1, asked, World(), heard[-1], path), heard[-1]

    heard = []
    return go


def of(kind, heard):
    return [event for event in heard if isinstance(event, kind)]


def scores(run):
    return {m.step: m.verification for _, m in checkpoints.list_checkpoints(run)}


def test_the_checkpoint_is_there_before_the_verification(train):
    run, _, heard = train()
    order = [(type(e), e.step) for e in heard if isinstance(e, Checkpoint | Verify)]
    assert order == [(Checkpoint, 3), (Verify, 3), (Checkpoint, 6), (Verify, 6)]
    assert {step: set(found) for step, found in scores(run).items()} == {3: {"dots"}, 6: {"dots"}}
    assert not any(m.unverified for _, m in checkpoints.list_checkpoints(run))


@pytest.mark.long
@pytest.mark.parametrize("at", [3, 6])
@pytest.mark.parametrize("before", ["verify_sets", "put_scores"])
def test_a_run_that_ends_while_verifying_catches_up(train, monkeypatch, at, before):
    """Killed in the verification, or after it before the checkpoint has its accuracy: nothing is lost."""
    whole, _, told = train()

    def die(*arguments, **_):
        if at in [*arguments]:
            raise KeyboardInterrupt
        return plain(*arguments)

    where = evaluation if before == "verify_sets" else writing
    plain = getattr(where, before)
    with monkeypatch.context() as patched:
        patched.setattr(where, before, die)
        with pytest.raises(KeyboardInterrupt):
            train()
    (run,) = [r for r in map(store.Run, whole.path.parent.parent.glob("*/*")) if r.path != whole.path]
    manifest = checkpoints.newest(run).manifest
    assert (manifest.step, manifest.unverified, manifest.verification) == (at, True, {})
    _, ended, again = train(run=run, resume=at)
    assert ended == Exit(reason="done", step=6, t=ended.t)
    assert scores(run) == scores(whole)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(run)[name]), name
    verified = [(e.step, e.accuracy) for e in of(Verify, again)]
    assert verified == [(e.step, e.accuracy) for e in of(Verify, told) if e.step >= at]


@pytest.mark.parametrize(("seen", "verified"), [({}, ["dots"]), ({"dots": 0.5}, [])])
def test_a_last_step_without_accuracies_is_verified_once_by_a_resume(train, seen, verified):
    """As a checkpoint looks that does not say whether it was verified: format 1 had no word for it."""
    run, _, _ = train()
    path = run.checkpoints / checkpoints.name_of(6)
    manifests.replace(path, msgspec.structs.replace(manifests.read(path), verification=seen))
    _, ended, heard = train(run=run, resume=6)
    assert (ended.reason, ended.step) == ("done", 6)
    assert [e.set for e in of(Verify, heard)] == verified
    assert set(scores(run)[6]) == {"dots"}


def test_a_step_that_was_verified_twice_counts_once(train):
    _, _, heard = train()
    summary = Summary()
    summary.feed((1, event) for event in heard)
    before = dict(summary.verification)
    summary.feed((2, event) for event in of(Verify, heard)[-1:])
    assert summary.verification == before


def test_sets_that_fail_are_set_aside_and_training_goes_on(train):
    run, ended, heard = train(Broken)
    assert ended.reason == "done"
    assert [e.set for e in of(Verify, heard)] == ["dots", "dots"]
    said = [message.text for message in of(Message, heard) if message.level == "warning"]
    assert len(said) == 3  # once, not at every verification
    for name, why in (("absent", "went away"), ("few", "6 pairs can't be split"), ("small", "image 7")):
        (line,) = [text for text in said if text.startswith(f"verification set {name} is set aside: ")]
        assert why in line
    assert {step: set(found) for step, found in scores(run).items()} == {3: {"dots"}, 6: {"dots"}}


class Two(World):
    """One of two ranks; the other says what `theirs` is, and embeds what this one does."""

    theirs = b""

    def gather(self, tensor):
        if tensor.dtype == torch.uint8:
            other = torch.frombuffer(bytearray(self.theirs.ljust(ranks._BYTES, b"\0")), dtype=torch.uint8)
            return torch.cat([tensor, other] if self.rank == 0 else [other, tensor])
        return torch.cat([tensor, tensor])


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_agree_on_a_set_that_one_can_not_read(rank, monkeypatch):
    """The rank without the cut picture waits for no gathering that never comes, and says the same."""
    plain = Two.theirs
    results = []
    for dataset, theirs in ((Dots(), b"dots.bin image 3: cut\n  \xe2\x86\x92 mend it"), (Broken(), plain)):
        monkeypatch.setattr(Two, "theirs", theirs)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 112 * 112, 4))
        made = evaluation.embedder(config(), network, 8, Two(rank, 2), Heard())
        results.append(evaluation.verify_sets(made, dataset.verification, 1, Heard()))
    assert results[0] == ([], {"dots": "dots.bin image 3: cut"})
    assert sorted(results[1][1]) == ["absent", "few", *(["small"] if rank == 0 else [])]


def test_numbers_of_one_kind_of_pairs_are_withheld_everywhere(train):
    run, _, heard = train(Same)
    event = next(e for e in of(Verify, heard) if e.set == "one")
    assert (event.accuracy, event.std, event.tar, event.threshold, event.far_threshold) == (None,) * 5
    assert event.withheld.startswith("all 20 pairs of one are same")
    assert float(event.xnorm) > 0
    assert set(scores(run)[6]) == {"dots"}
    kept = read_json(run.path / "verify" / "step-0000000006.json", list[dict])[1]
    assert [kept[k] for k in ("accuracy", "std", "tar", "threshold", "far_threshold")] == [None] * 5


def ruined(monkeypatch, how, at):
    """From step `at` on the backbone gives one embedding, which is zero or not, for every picture."""
    plain = writing.save

    def save(run, config, world, trained, point, feed):
        if point.step >= at:
            with torch.no_grad():
                for parameter in trained.backbone.parameters():
                    parameter.zero_()
                *_, last = trained.backbone.modules()  # a batch norm: it takes off what it has seen so far
                last.running_mean.fill_(how == "one")
        return plain(run, config, world, trained, point, feed)

    monkeypatch.setattr(writing, "save", save)


@pytest.mark.parametrize("how", ["zero", "one"])
@pytest.mark.parametrize("dataset", [Dots, NoSets, Same])
def test_a_collapsed_network_is_said_and_never_the_best(train, monkeypatch, how, dataset):
    ruined(monkeypatch, how, 6)
    run, ended, heard = train(dataset)
    assert ended.reason == "done"
    assert ended.detail.startswith("the network has collapsed")
    assert ("are zero" if how == "zero" else "less than 0.01 apart") in ended.detail
    (said,) = [m.text for m in of(Message, heard) if m.level == "warning"]
    assert "the network has collapsed" in said
    assert "(step 6)" in said
    assert scores(run)[6] == {}
    last = [event for event in of(Verify, heard) if event.step == 6]
    for event in last:
        assert event.collapse == ended.detail.replace("dots", event.set)
        scored = (0.5, 0.0) if how == "one" and event.set == "dots" else (None, None)
        assert (event.accuracy, event.std) == scored
    if dataset is not NoSets:
        assert checkpoints.choose(run, "best")[1].step == 3
        assert describe(Reader(run, check=True))["checkpoints"][-1]["verification"] == {}


def test_a_healthy_network_has_not_collapsed(train):
    for dataset in (Dots, NoSets):
        _, ended, heard = train(dataset)
        assert ended.detail == ""
        assert of(Message, heard) == []


def options(**given):
    return get("job", "verify").settings(given)


def verify(run):
    asked = jobs.verification(config(**WAY), str(run.path), 6)
    job = store.create(run.path.parent, asked, label="verify", argv=[], host="h")
    return job, verification.verify(
        JobContext(job, Heard(), 1, World()), str(run.path), **options(checkpoint="6")
    )


def test_a_checkpoint_whose_embeddings_are_zero_is_refused_by_verify(train, monkeypatch):
    ruined(monkeypatch, "zero", 6)
    run, _, _ = train()
    said = f"{run.id}/step-0000000006: the embeddings are zero: that of dots image 0 and of 39 more"
    with pytest.raises(DataError, match=said) as error:
        verify(run)
    assert "an earlier checkpoint" in error.value.hint


def test_verify_says_that_a_network_has_collapsed_and_no_card_has_its_threshold(train, monkeypatch):
    ruined(monkeypatch, "one", 6)
    run, _, _ = train()
    assert verify(run)[1].reason.startswith("the network has collapsed")
    (score,) = models.facts_of(models.locate(str(run.path), run.path.parent)).scores
    assert (score.accuracy, score.threshold) == (None, None)
    assert score.withheld.startswith("the network has collapsed")


def test_a_stop_of_a_verification_is_heard_before_its_next_set(train):
    run, _, _ = train()
    asked = jobs.verification(config(**WAY), str(run.path), 6)
    job, heard = store.create(run.path.parent, asked, label="verify", argv=[], host="h"), Heard()
    context = JobContext(job, heard, 1, World())
    sets = []

    def agree():
        sets.append(len(of(Verify, heard)))
        control.ask(job, "stop")
        JobContext.agree(context)

    context.agree = agree
    with pytest.raises(StopAskedError):
        verification.verify(context, str(run.path), **options(checkpoint="6"))
    assert sets == [0]
    assert of(Verify, heard) == [] == control.pending(job)
    assert not (job.path / "verify" / "step-0000000006.json").exists()


def test_a_buffer_that_ran_over_is_never_saved(train, monkeypatch):
    plain = build.trained

    def made(*arguments):
        trained = plain(*arguments)
        trained.backbone.register_buffer("count", torch.tensor([torch.inf]))
        return trained

    monkeypatch.setattr(build, "trained", made)
    with pytest.raises(TrainingError, match="not finite after step 3") as error:
        train()
    assert error.value.exit_code == 5


def test_the_sets_of_a_training_are_those_that_were_chosen(train, monkeypatch, tmp_path):
    image = encode_jpeg(np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8))
    write_pairs(tmp_path / "mine.bin", [image] * 40, [n % 2 == 0 for n in range(20)])

    class Opened:
        def open(self):
            return Dots()

    whole = build.dataset
    monkeypatch.setattr("arcterm.inputs.sources.from_config", lambda config: Opened())
    chosen = whole(config(verify_sets=f"dots,{tmp_path}/mine.bin"))
    assert list(chosen.verification) == ["dots", "mine"]
    assert list(whole(config(verify_sets=f"dots,{tmp_path}/mine.bin"), ["dots"]).verification) == ["mine"]
    _, _, heard = train(lambda: chosen)
    assert {event.set for event in of(Verify, heard)} == {"dots", "mine"}
