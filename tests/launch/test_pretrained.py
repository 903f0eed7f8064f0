"""Which checkpoint a run begins with, and which it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil

import msgspec
import pytest
from arcterm_registry.contracts import DatasetFacts

from arcterm import commandline
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, ConfigError, DataError, RunError
from arcterm.files import create_json
from arcterm.launch import pretrained
from arcterm.launch.plan import make_plan
from arcterm.runs import checkpoints, store
from arcterm.runs.checkpoints import FileDigest, Manifest

from ..runs.conftest import config

OPTIONS = {"embedding_size": 128, "dropout": 0.4}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def run(root):
    return store.create(
        root, config(backbone_options=OPTIONS), label="tiny-softmax", name="softmax", argv=[], host="h"
    )


def save(run, step, text=b"weights"):
    folder = run.checkpoints / checkpoints.name_of(step)
    folder.mkdir()
    (folder / checkpoints.BACKBONE).write_bytes(text)
    digest = FileDigest(size=len(text), sha256=hashlib.sha256(text).hexdigest())
    manifest = Manifest(
        format_version=1, step=step, epoch=1, samples=1, seed=0, world_size=1, classes=5, embedding_size=128,
        backbone="tiny", loss="softmax", files={checkpoints.BACKBONE: digest}, head=[],
    )  # fmt: skip
    create_json(folder / checkpoints.MANIFEST, manifest)
    return folder


def find(text, root, backbone="tiny", options=OPTIONS):
    return pretrained.find(str(text), root, backbone, options).path


def plan_from(root):
    settings = {"backbone": "tiny", "loss": "softmax", "pretrained": "softmax", "steps": 4, "batch_size": 8}
    options = {"classes": 8, "images": 64}
    return make_plan({**settings, "dataset": "synthetic", "dataset_options": options}, root=root)


def test_a_run_gives_its_newest_checkpoint_and_a_path_itself(run, root, monkeypatch):
    old, new = save(run, 10), save(run, 20)
    for text in ("softmax", run.id, run.path, "last"):
        assert find(text, root) == new
    assert find(old, root) == old
    monkeypatch.chdir(root.parent)
    assert find(f"./runs/{run.id}/ckpt/{old.name}", root) == old


def test_what_is_damaged_is_passed_over_or_refused_and_never_moved(run, root):
    old, new = save(run, 10), save(run, 20)
    (new / checkpoints.BACKBONE).write_bytes(b"weighty")
    assert find("softmax", root) == old
    (said,) = pretrained.find("softmax", root, "tiny", OPTIONS).damaged
    assert f"{new / checkpoints.BACKBONE} is damaged" in said
    with pytest.raises(DataError, match="is damaged"):
        find(new, root)
    (old / checkpoints.BACKBONE).write_bytes(b"weighty")
    with pytest.raises(RunError, match=r"no backbone to start with: .* is damaged"):
        find("softmax", root)
    assert sorted(p.name for p in run.checkpoints.iterdir()) == [old.name, new.name]


def test_a_plan_says_which_checkpoint_is_damaged_and_which_is_taken(run, root):
    old, new = save(run, 10), save(run, 20)
    assert not any("older checkpoint" in note for note in plan_from(root).notes)
    (new / checkpoints.MANIFEST).write_bytes(b"{")
    notes = plan_from(root).notes
    assert any(
        note.startswith("problem") and str(new) in note and "older checkpoint" in note for note in notes
    )
    assert any(note.startswith("start") and note.endswith(str(old)) for note in notes)


@pytest.mark.parametrize(
    ("backbone", "options", "said"),
    [
        ("r18", OPTIONS, "r18 dropout=0.4 embedding_size=128"),
        ("tiny", {**OPTIONS, "embedding_size": 64}, "tiny dropout=0.4 embedding_size=64"),
    ],
)
def test_another_backbone_is_refused_and_both_are_named(run, root, backbone, options, said):
    save(run, 10)
    with pytest.raises(ConfigError) as raised:
        find("softmax", root, backbone, options)
    assert said in raised.value.message
    assert "holds a backbone tiny dropout=0.4 embedding_size=128" in raised.value.message


def test_a_copied_checkpoint_is_known_by_its_backbone(run, root, tmp_path):
    alone = shutil.copytree(save(run, 10), tmp_path / "elsewhere" / "deep" / "alone")
    assert find(alone, root) == alone
    with pytest.raises(ConfigError, match=r"holds a backbone tiny, the new run's is r18"):
        find(alone, root, "r18")


@pytest.mark.parametrize("text", ["nothing", "./nothing", "/no/such/place"])
def test_what_is_not_there_is_an_error(root, run, text):
    with pytest.raises(RunError):
        find(text, root)


def test_a_run_without_a_checkpoint_says_so(root, run):
    with pytest.raises(RunError, match="softmax has no backbone to start with: it has no checkpoint yet"):
        find("softmax", root)


def test_a_manifest_of_something_else_is_an_error(root, tmp_path):
    (tmp_path / checkpoints.MANIFEST).write_text(json.dumps({"version": 3}))
    with pytest.raises(ArctermError, match=r"manifest\.json"):
        find(tmp_path, root)


def test_the_plan_holds_the_absolute_path(run, root, monkeypatch):
    saved = save(run, 10)
    facts = DatasetFacts(images=1000, classes=10, image_size=(112, 112), fingerprint="x")
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", lambda *_: facts)
    settings = {"backbone": "tiny", "loss": "triplet", "pretrained": "softmax", "nproc": 1}
    plan = make_plan(settings, root=root)
    assert plan.config.pretrained == str(saved)
    assert any(str(saved) in note for note in plan.notes)
    assert isinstance(plan.config, TrainConfig)
    assert "--pretrained softmax" in commandline.training(settings)
    assert make_plan({**settings, "pretrained": ""}, root=root).config.pretrained == ""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder to be in, and requests to the process, which are answered here."""
    from arcterm.export.verbs import VERBS

    asked = []

    def ask(verb, request, progress=None):
        asked.append(json.loads(json.dumps(request)))
        return VERBS[verb](asked[-1], lambda *_: None)

    monkeypatch.setattr("arcterm.processes.child.ask", ask)
    monkeypatch.chdir(tmp_path)
    return asked


def network(backbone="tiny", embedding_size=128):
    import torch
    from arcterm_registry import get

    made = get("backbone", backbone).make(embedding_size=embedding_size).eval()
    with torch.no_grad():
        for norm in made.modules():
            if getattr(norm, "running_var", None) is not None:
                norm.running_mean.uniform_(-1, 1)
                norm.running_var.uniform_(0.5, 2)
    return made


def ours(path, made, **changes):
    """A model file of ours."""
    from arcterm.export import model
    from arcterm.formats.modelfile import ModelFacts

    facts = ModelFacts(backbone="tiny", options=OPTIONS, embedding_size=128, **changes)
    import torch

    head = torch.ones(facts.classes, 128) if facts.classes else None
    model.save(model.Model(facts, made, head), path)


def chain(folder, made):
    """`made` as MXNet would save it: layers in a row are enough, since only their order and arrays count."""
    import numpy as np
    import torch

    from arcterm.export.layers import in_order
    from arcterm.formats.mxnet import params

    ops = {torch.nn.Conv2d: "Convolution", torch.nn.Linear: "FullyConnected", torch.nn.PReLU: "LeakyReLU"}
    roles = {"running_mean": "moving_mean", "running_var": "moving_var"}
    nodes, arrays, last = [{"op": "null", "name": "data", "inputs": []}], {}, 0
    for number, (_, module) in enumerate(in_order(made, (112, 112))):
        op = ops.get(type(module), "BatchNorm")
        held = {k: v.detach().numpy() for k, v in module.state_dict().items() if k != "num_batches_tracked"}
        named = {roles.get(key, key): value for key, value in held.items()}
        attrs = {"no_bias": str("bias" not in held)} if op in ("Convolution", "FullyConnected") else {}
        if op == "BatchNorm":
            attrs = {"eps": str(module.eps), "fix_gamma": str("weight" not in held)}
            size = np.ones_like(named["moving_var"])
            named = {
                "gamma": named.get("weight", size * 7),
                "beta": named.get("bias", size * 0),
                "moving_mean": named["moving_mean"],
                "moving_var": named["moving_var"],
            }
        inputs = [[last, 0, 0]]
        for role, value in named.items():
            inputs.append([len(nodes), 0, 0])
            nodes.append({"op": "null", "name": f"l{number}_{role}", "inputs": []})
            arrays[f"{'aux' if 'moving' in role else 'arg'}:l{number}_{role}"] = value
        last = len(nodes)
        nodes.append({"op": op, "name": f"l{number}", "inputs": inputs, "attrs": attrs})
    nodes[-1]["name"] = "fc1"
    arrays["arg:fc7_weight"] = np.ones((5, 128), np.float32)
    (folder / "m-symbol.json").write_text(json.dumps({"nodes": nodes, "heads": [[last, 0, 0]]}))
    params.write(folder / "m-0003.params", arrays)


def same_function(path, made, factor):
    """Whether a file's network computes for x what `made` does for `factor` · x."""
    import torch

    from arcterm.export import model
    from arcterm.formats.modelfile import read_facts

    found = model.load(path, read_facts(path)).network
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.allclose(found(x), made(x * factor), rtol=1e-3, atol=1e-4)


def test_a_model_file_of_ours_is_taken_as_it_is(files, root, tmp_path):
    made = network()
    ours(tmp_path / "a.safetensors", made, classes=5)
    found = pretrained.find("a.safetensors", root, "tiny", OPTIONS, keep_head=True)
    assert found == pretrained.Pretrained(tmp_path / "a.safetensors", 5)
    assert (files, root.exists()) == ([], False)
    for backbone, options in (("r18", OPTIONS), ("tiny", {**OPTIONS, "dropout": 0.0})):
        with pytest.raises(ConfigError, match=r"holds a backbone tiny dropout=0\.4 embedding_size=128, the"):
            pretrained.find("a.safetensors", root, backbone, options)


def test_a_model_file_with_another_scale_is_turned_into_the_declared_one(files, root, tmp_path):
    made = network()
    ours(tmp_path / "a.safetensors", made, scale=1 / 127.5)
    path = find("a.safetensors", root)
    assert path.parent == (root / ".models").resolve()
    assert same_function(path, made, 128 / 127.5)
    assert not same_function(path, made, 1)


def test_a_foreign_file_is_turned_into_one_of_ours_once(files, root, tmp_path):
    import torch

    made = network()
    state = {f"module.{key}": value for key, value in made.state_dict().items()}
    torch.save({"state_dict": state, "head.weight": 3}, tmp_path / "theirs.pth")
    path = find("theirs.pth", root)
    assert (path.parent, path.name.startswith("theirs-")) == ((root / ".models").resolve(), True)
    assert same_function(path, made, 128 / 127.5)
    assert find(tmp_path / "theirs.pth", root) == path
    assert len(files) == 1
    state["module.fc.bias"] += 1
    torch.save(state, tmp_path / "theirs.pth")
    assert find("theirs.pth", root) != path
    assert find("theirs.pth", root, options={**OPTIONS, "dropout": 0.1}) != path
    assert len(files) == 3
    assert all(name.name.endswith(".safetensors") for name in (root / ".models").iterdir())


def test_networks_of_mxnet_begin_a_run(files, root, tmp_path):
    made = network()
    chain(tmp_path, made)
    path = find("m,3", root)
    assert same_function(path, made, 1)
    assert pretrained.find("m,3", root, "tiny", OPTIONS).classes == 0
    assert pretrained.find("m-0003.params", root, "tiny", OPTIONS, keep_head=True).classes == 5
    assert [request["head"] for request in files] == ["drop", "keep"]


def test_what_does_not_fit_or_is_not_there_is_told_and_leaves_nothing(files, root, tmp_path):
    import torch

    torch.save(network("y1", 128).state_dict(), tmp_path / "y1.pth")
    torch.save(network("tiny", 64).state_dict(), tmp_path / "small.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    for name, said in (
        ("y1.pth", "those of tiny"),
        ("small.pth", r"fc\.weight is \(64, 3584\) in the file, \(128, 3584\) there"),
        ("junk.pth", r"junk\.pth is damaged"),
        ("none.pth", "there is no file none"),
        ("m,3", "needs m-symbol"),
    ):
        with pytest.raises(DataError, match=said):
            find(name, root)
    with pytest.raises(DataError, match="holds no class weights"):
        torch.save(network().state_dict(), tmp_path / "tiny.pth")
        pretrained.find("tiny.pth", root, "tiny", OPTIONS, keep_head=True)
    assert not root.exists() or not list((root / ".models").iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"classes": 4}, "holds those of 4 people, the data set has 5"),
        ({"classes": 0}, "holds no class weights, the data set has 5"),
        ({"loss": "triplet"}, "loss 'triplet' has no class weights to keep"),
        ({"pretrained": ""}, "--head keep has nothing to keep"),
        ({"head": "none"}, "drop, keep"),
    ],
)
def test_class_weights_are_kept_for_the_same_people_only(files, root, tmp_path, monkeypatch, changes, said):
    ours(tmp_path / "a.safetensors", network(), classes=changes.pop("classes", 5))
    facts = DatasetFacts(images=1000, classes=5, image_size=(112, 112), fingerprint="x")
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", lambda *_: facts)
    settings = {"backbone": "tiny", "loss": "arcface", "pretrained": "a.safetensors", "nproc": 1}
    settings |= {"head": "keep"} | changes
    if not said:
        made = make_plan(settings, root=root)
        assert (made.config.head, made.config.pretrained) == ("keep", str(tmp_path / "a.safetensors"))
        assert any("backbone and class weights of" in note for note in made.notes)
        assert "head=keep" in commandline.training(settings).replace("--head keep", "head=keep")
        return
    with pytest.raises(ConfigError) as raised:
        make_plan(settings, root=root)
    assert said in str(raised.value)
    assert make_plan({**settings, "head": "drop"}, root=root).config.head == "drop"


def test_a_checkpoint_has_as_many_class_weights_as_its_manifest_says(run, root):
    folder = save(run, 10)
    assert pretrained.find("softmax", root, "tiny", OPTIONS).classes == 0  # without shards there are none
    manifest = checkpoints.check(folder)
    (folder / checkpoints.MANIFEST).unlink()
    shard = checkpoints.HeadShard(file="head-0.safetensors", lo=0, hi=5)
    files = manifest.files | {shard.file: FileDigest(size=0, sha256="0" * 64)}
    create_json(folder / checkpoints.MANIFEST, msgspec.structs.replace(manifest, head=[shard], files=files))
    (folder / shard.file).touch()
    found = pretrained.find("softmax", root, "tiny", OPTIONS)
    assert found.classes == 5
    with pytest.raises(RunError, match=r"head-0\.safetensors is damaged"):
        pretrained.find("softmax", root, "tiny", OPTIONS, keep_head=True)
    pretrained.check_classes(found, 5)
    with pytest.raises(ConfigError, match="holds those of 5 people, the data set has 6"):
        pretrained.check_classes(found, 6)
