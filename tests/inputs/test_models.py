"""Which model a person means, and what is known of it before its weights are read."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from arcterm.errors import ArctermError, DataError, RunError
from arcterm.files import create_json
from arcterm.formats import modelfile
from arcterm.formats.modelfile import ModelFacts
from arcterm.inputs import models
from arcterm.runs import checkpoints, store
from arcterm.runs.events import Verify

from ..launch.test_pretrained import save
from ..runs.conftest import config

OPTIONS = {"embedding_size": 128, "dropout": 0.4}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def run(root):
    made = config(
        backbone_options=OPTIONS,
        dataset="folder",
        dataset_options={"path": "/home/somebody/faces"},
        pretrained="/home/somebody/old",
    )
    return store.create(root, made, label="tiny-arcface", name="first", argv=[], host="h")


def verified(run, step):
    result = Verify(
        step=step, set="lfw", pairs=6000, accuracy=0.99, std=0.01, xnorm=20.0, tar=0.9, threshold=1.2,
        far_threshold=0.8, seconds=1.0,
    )  # fmt: skip
    (run.path / "verify").mkdir(exist_ok=True)
    create_json(run.path / "verify" / f"step-{step:010d}.json", [result])


def test_a_run_and_its_checkpoints(run, root):
    old, new = save(run, 10), save(run, 20)
    verified(run, 10)
    for text in ("first", run.id, str(run.path), "last"):
        assert models.locate(text, root)["weights"] == str(new / checkpoints.BACKBONE)
    for text, which in (("first", "10"), (str(old), "last"), (str(old / checkpoints.BACKBONE), "last")):
        place = models.locate(text, root, which)
        assert place["weights"] == str(old / checkpoints.BACKBONE)
        facts = models.facts_of(place)
        assert (facts.backbone, facts.options, facts.embedding_size) == ("tiny", OPTIONS, 128)
        assert (facts.source, facts.step) == (f"{run.id}/{old.name}", 10)
        assert (facts.scores[0].set, facts.scores[0].far_threshold) == ("lfw", 0.8)
    assert models.facts_of(models.locate("first", root)).scores == []
    with pytest.raises(RunError, match="has no checkpoint '30'"):
        models.locate("first", root, "30")


def test_the_card_tells_the_recipe_and_no_places(run, root):
    save(run, 10)
    facts = models.facts_of(models.locate("first", root))
    assert (facts.data, facts.recipe["loss"], facts.recipe["global_batch"]) == ("folder faces", "arcface", 16)
    assert "somebody" not in msgspec.json.encode(facts).decode()


def test_the_order_of_class_weights_is_told(run, root):
    folder = save(run, 10)
    manifest = checkpoints.check(folder)
    head = [
        checkpoints.HeadShard(file="head-0.safetensors", lo=0, hi=3),
        checkpoints.HeadShard(file="head-1.safetensors", lo=3, hi=5),
    ]
    (folder / checkpoints.MANIFEST).unlink()
    digest = checkpoints.FileDigest(size=0, sha256="0" * 64)
    files = manifest.files | {part.file: digest for part in head}
    create_json(folder / checkpoints.MANIFEST, msgspec.structs.replace(manifest, head=head, files=files))
    for part in head:
        (folder / part.file).touch()
    place = models.locate("first", root)
    assert place["classes"] == 5
    assert place["head"] == [
        [str(folder / "head-0.safetensors"), 0, 3, "0" * 64],
        [str(folder / "head-1.safetensors"), 3, 5, "0" * 64],
    ]


def test_a_copied_checkpoint_has_the_size_of_its_manifest(run, root, tmp_path):
    folder = save(run, 10)
    manifest = checkpoints.check(folder)
    (folder / checkpoints.MANIFEST).unlink()
    create_json(folder / checkpoints.MANIFEST, msgspec.structs.replace(manifest, embedding_size=64))
    alone = tmp_path / "elsewhere" / "deep" / "alone"
    alone.parent.mkdir(parents=True)
    folder.rename(alone)
    facts = models.facts_of(models.locate(str(alone), root))
    assert facts.options == {"embedding_size": 64, "dropout": 0.4}
    assert (facts.embedding_size, facts.recipe, facts.data) == (64, {}, "")


def test_files(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pth", "b.pt", "c.ckpt", "d.safetensors", "with,5"):
        (tmp_path / name).write_bytes(b"x")
        if "," not in name:
            assert models.locate(name, root) == {"file": str(tmp_path / name)}
    with pytest.raises(DataError, match="with,5 is no model file that is known here"):
        models.locate("with,5", root)


def test_networks_of_mxnet(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m-symbol.json").write_text("{}")
    (tmp_path / "m-0000.params").write_bytes(b"x")
    (tmp_path / "m-0050.params").write_bytes(b"x")
    wanted = {"symbol": str(tmp_path / "m-symbol.json"), "params": str(tmp_path / "m-0050.params")}
    for text in ("m,50", f"{tmp_path}/m,0050", "m-0050.params", f"../{tmp_path.name}/m,50"):
        assert models.locate(text, root) == wanted
    assert models.facts_of(wanted) is None
    with pytest.raises(DataError, match=r"m,7 needs m-0007\.params, which is not in") as raised:
        models.locate("m,7", root)
    assert "m-0000.params, m-0050.params" in raised.value.hint
    (tmp_path / "m-symbol.json").unlink()
    with pytest.raises(DataError, match=r"needs m-symbol\.json"):
        models.locate("m-0050.params", root)


@pytest.mark.parametrize("text", ["none.pth", "none.safetensors", "none-0001.params", "/no/where.onnx"])
def test_a_file_that_is_not_there(root, text):
    with pytest.raises(ArctermError) as raised:
        models.locate(text, root)
    assert text in raised.value.message
    assert "PREFIX,EPOCH" in raised.value.hint


def test_what_is_no_model(root, run, tmp_path):
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"x\.png is no model file"):
        models.locate(str(tmp_path / "x.png"), root)
    for text in ("nothing", str(tmp_path)):
        with pytest.raises(RunError) as raised:
            models.locate(text, root)
        assert "PREFIX,EPOCH" in raised.value.hint
    with pytest.raises(RunError, match="has no checkpoint yet"):
        models.locate("first", root)


def test_a_damaged_checkpoint_is_told(run, root):
    folder = save(run, 10)
    (folder / checkpoints.BACKBONE).write_bytes(b"weighty")
    with pytest.raises(DataError, match="is damaged: its SHA-256"):
        models.locate(str(folder), root)
    with pytest.raises(DataError, match="is damaged: its SHA-256"):
        models.locate("first", root)


def test_facts_of_files(tmp_path):
    facts = ModelFacts(backbone="tiny", embedding_size=64)
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    save_file({"a": np.ones(1)}, ours, metadata=modelfile.metadata(facts))
    save_file({"a": np.ones(1)}, theirs)
    assert models.facts_of({"file": str(ours)}) == facts
    assert models.facts_of({"file": str(theirs)}) is None
    assert models.facts_of({"file": str(tmp_path / "x.pth")}) is None


def test_results_that_cannot_be_read_are_an_error_in_words(run, root):
    save(run, 10)
    path = run.path / "verify" / "step-0000000010.json"
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path)
    with pytest.raises(DataError, match=r"step-0000000010\.json can't be read"):
        models.locate("first", root)


ZIP, PICKLE, ONNX = b"PK\x03\x04" + bytes(26) + b"x/data.pkl", b"\x80\x02}q\x00.", b"\x08\x08\x12\x00\x3a\x00"


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("model_state", ZIP, "file"),
        ("model.tar", PICKLE, "file"),
        ("weights.bin", b"\x02" + bytes(7) + b"{}", "file"),
        ("net.pb", ONNX, "onnx"),
        ("net.pth", ONNX, "onnx"),
        ("net.onnx", ZIP, "file"),
        ("net.onnx", b"text", "onnx"),
    ],
)
def test_what_a_file_is_its_content_says(root, tmp_path, name, content, key):
    (tmp_path / name).write_bytes(content)
    assert models.locate(str(tmp_path / name), root) == {key: str(tmp_path / name)}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("det1.npy", b"\x93NUMPY\x01\x00", "of MTCNN are a detector's"),
        ("x.pth", b"PK\x03\x04" + bytes(26) + b"a.npy", "an archive of NumPy's arrays"),
        ("x.pth", b"\x89HDF\r\n", "HDF5"),
        ("x.tflite", bytes(4) + b"TFL3", "TensorFlow Lite"),
        ("x.pth", b"", "it is empty"),
        ("x.pth", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("m.params", (0x112).to_bytes(8, "little"), "one of two files of an MXNet network"),
        ("m.json", b'{\n "nodes": []}', "one of two files of an MXNet network"),
    ],
)
def test_what_is_known_to_be_no_model_is_named(root, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        models.locate(str(tmp_path / name), root)
    assert said in raised.value.message
    assert raised.value.hint
