"""`arcterm verify` as it is typed: files of two kinds, several sets, ranks, wrong pairs, the card."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import read_pairs, write_pairs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The state of a small network with random weights, as any trainer saves it."""
    torch.manual_seed(0)
    network = get("backbone", "tiny").load()(embedding_size=64)
    with torch.no_grad():
        for _ in range(30):  # so that its batch norms fit
            network.train()(torch.rand(16, 3, 112, 112) * 2 - 1)
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def sets(arcterm, pack):
    """The held-out set under two names, the second in another folder."""
    held = read_pairs(pack / "heldout.bin")
    shutil.copy(pack / "heldout.bin", arcterm.folder / "lfw.bin")
    (arcterm.folder / "more").mkdir()
    write_pairs(arcterm.folder / "more" / "cfp.bin", held.images[20:], held.same[10:].tolist())
    return arcterm.folder


def distances(told, name="lfw"):
    with np.load(told["report"]["data"]["distances"]) as kept:
        return kept[name]


def test_a_graph_and_its_weights_agree_on_one_process_and_on_two_ranks(arcterm, weights, sets):
    shutil.copy(weights, sets / "net.pth")
    arcterm("model", "export", "net.pth", "--format", "onnx", "-o", "net.onnx")
    told = [
        arcterm.json(
            "verify", model, "lfw.bin", "more", "--nproc", ranks, "--show-errors", f"wrong{ranks}{model}"
        )
        for model, ranks in (("net.pth", "1"), ("net.onnx", "1"), ("net.onnx", "2"))
    ]
    first = told[0]
    for other in told[1:]:
        assert set(other["verification"]) == {"lfw", "cfp"}
        for name in ("lfw", "cfp"):
            one, two = first["verification"][name], other["verification"][name]
            assert two["accuracy"] == pytest.approx(one["accuracy"], abs=1e-4)
            assert two["measured"]["auc"] == pytest.approx(one["measured"]["auc"], abs=1e-3)
            # cosine = 1 - distance / 2
            assert np.abs(distances(other, name) - distances(first, name)).max() < 2e-5
    # and not because every pair is as far apart as another
    assert distances(first).std() > 0.01
    wrong = first["verification"]["lfw"]["wrong_pairs"]
    assert len(wrong) == round((1 - first["verification"]["lfw"]["accuracy"]) * 60)
    assert len(list((sets / "wrong1net.pth" / "lfw").iterdir())) == 2 * len(wrong)
    page = (sets / "wrong1net.pth" / "index.html").read_text()
    assert f"{len(wrong)} of 60 pairs are wrong" in page
    card = (sets / "net.onnx.md").read_text()
    assert "| lfw | 60 |" in card and "| cfp | 50 |" in card
    shown = arcterm("model", "show", "net.onnx").stdout
    assert f"lfw            {first['verification']['lfw']['accuracy']:.4f}" in shown
    compared = arcterm.json("compare", "net.onnx", *pictures(sets))
    assert {verdict["set"] for verdict in compared["verdicts"]} == {"lfw", "cfp"}


def pictures(folder):
    random = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(encode_jpeg(random.integers(0, 255, (112, 112, 3), np.uint8)))
    return "a.jpg", "b.jpg"


def test_a_file_without_a_set_names_those_beside_it(arcterm, weights, sets):
    shutil.copy(weights, sets / "net.pth")
    said = arcterm("verify", "net.pth", code=2).stderr
    assert all(f"{sets / name}" in said for name in ("lfw.bin", "more/cfp.bin"))
    assert "no run" in arcterm("verify", "nothing-here", "lfw.bin", code=4).stderr
    gone = arcterm("verify", "net.pth", "lfw.bin", "gone.bin", "empty", code=3).stderr
    assert "gone.bin" in gone and "empty" in gone
