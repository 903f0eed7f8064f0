"""Pictures → a matrix on disk: what is in it, what is refused, and how a stopped job goes on."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from arcterm.errors import DataError, StopAskedError
from arcterm.export import embedding
from arcterm.export.model import open_model
from arcterm.features import matrix
from arcterm.features.matrix import extract
from arcterm.features.networks import open_networks
from arcterm.features.pictures import FilePictures
from arcterm.formats.images import encode_png
from arcterm.inputs import models
from tests.jobs import StoppingJob, save_weights

COUNT = 21


def summed(views):
    return torch.cat([each.sum(1) for each in views], 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "net.pth")


@pytest.fixture
def names(tmp_path):
    random, folder = np.random.default_rng(0), tmp_path / "faces"
    folder.mkdir()
    for number in range(COUNT):
        pixels = random.integers(0, 255, (7, 7, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        (folder / f"{number}.png").write_bytes(encode_png(pixels))
    return [f"{number}.png" for number in range(COUNT)]


@pytest.fixture
def go(tmp_path, weights, monkeypatch):
    """Extract sums of both views, four images at a time; agrees at every batch and commits each."""
    monkeypatch.setattr(matrix, "_ROUND", 1)
    monkeypatch.setattr(matrix, "_COMMIT_SECONDS", -1.0)

    def extract_names(names, target, job=None, count=1, fuse=None, size=4):
        job = job or StoppingJob("align", tmp_path / f"runs-{target}", ["a", "b"])
        networks = open_networks(job, [str(weights)] * count)
        pictures = FilePictures(tmp_path / "faces", names)
        width = sum(networks.sizes)
        refused = extract(job, networks, pictures, tmp_path / target, fuse or summed, width, batch_size=size)
        return np.load(tmp_path / target), refused

    return extract_names


@pytest.mark.long
@pytest.mark.parametrize("count", [COUNT, 6])
def test_the_number_of_threads_changes_no_bit(go, names, count):
    """Of few pictures, and in a last batch of few, threads would share the work in another way."""
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(go(names[:count], f"{number}.npy", size=8 if count == COUNT else None)[0])
    finally:
        torch.set_num_threads(threads)
    assert (found[0] == found[1]).all()


def test_the_rows_are_the_embeddings(go, names, weights, tmp_path):
    rows, refused = go(names, "m.npy")
    model = open_model(models.locate(str(weights), tmp_path))
    files = [tmp_path / "faces" / name for name in names]
    wanted = embedding.embed(model, files, resize=False, flip=True, progress=lambda *_: None)
    assert refused == {} and rows.dtype == np.float32
    np.testing.assert_allclose(rows, wanted, atol=1e-4)
    assert np.abs(rows - np.roll(wanted, 1, 0)).max() > 0.1
    both, _ = go(names, "two.npy", count=2)
    np.testing.assert_array_equal(both, np.hstack([rows, rows]))


@pytest.mark.parametrize("stop", [0, 2, 5])
def test_it_is_stopped_anywhere_and_goes_on_to_the_same_bytes(go, names, tmp_path, stop, monkeypatch):
    go(names, "whole.npy")
    job = StoppingJob("align", tmp_path / "runs", ["a", "b"], stop)
    with pytest.raises(StopAskedError):
        go(names, "parts.npy", job)
    log = next(job.work.glob("rows-*.jsonl"))
    with log.open("ab") as file:
        file.write(b"[5")  # torn by a crash
    job.stop = 100
    seen = []
    pixels = FilePictures.pixels
    monkeypatch.setattr(FilePictures, "pixels", lambda *given: seen.append(given[1]) or pixels(*given))
    go(names, "parts.npy", job)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sorted(seen) == list(range(4 * (stop + 1), COUNT))  # no image is decoded twice


def test_a_file_that_is_gone_is_made_again(go, names, tmp_path):
    whole, _ = go(names, "whole.npy")
    job = StoppingJob("align", tmp_path / "runs", ["a", "b"], 3)
    with pytest.raises(StopAskedError):
        go(names, "parts.npy", job)
    (tmp_path / "parts.npy").unlink()
    job.stop = 100
    np.testing.assert_array_equal(go(names, "parts.npy", job)[0], whole)


def test_pictures_that_cannot_be_embedded_are_zeros_with_a_reason(go, names, tmp_path):
    whole, _ = go(names, "whole.npy")
    (tmp_path / "faces" / "3.png").write_bytes(b"not an image")
    (tmp_path / "faces" / "9.png").write_bytes(encode_png(np.zeros((90, 80, 3), np.uint8)))
    (tmp_path / "faces" / "20.png").unlink()
    rows, refused = go(names, "m.npy")
    assert sorted(refused) == [3, 9, 20] and "80×90" in refused[9]
    assert not rows[[3, 9, 20]].any()
    others = [number for number in range(COUNT) if number not in refused]
    np.testing.assert_array_equal(rows[others], whole[others])
    for name in names:
        (tmp_path / "faces" / name).unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"none of 21 pictures can be embedded; 0\.png"):
        go(names, "n.npy")


def test_an_embedding_without_direction_is_refused(go, names):
    def spoilt(views):
        rows = summed(views)
        rows[:1], rows[1:2] = torch.nan, 0
        return rows

    rows, refused = go(names, "m.npy", fuse=spoilt)
    assert {refused[index] for index in range(0, COUNT, 4)} == {"its embedding is not finite"}
    assert {refused[index] for index in range(1, COUNT, 4)} == {"its embedding is zero"}
    assert not rows[list(refused)].any() and len(refused) == 11


def test_models_of_different_inputs_are_refused(tmp_path, weights, monkeypatch):
    made = open_model(models.locate(str(weights), tmp_path))
    sizes = iter([(112, 112), (112, 96)])

    def sized(place, known):
        return replace(made, facts=msgspec.structs.replace(made.facts, input_size=next(sizes)))

    monkeypatch.setattr("arcterm.features.networks.open_model", sized)
    job = StoppingJob("align", tmp_path / "runs", ["a", "b"])
    with pytest.raises(DataError, match=r"different sizes: .*112×112.*96×112"):
        open_networks(job, [str(weights)] * 2)
