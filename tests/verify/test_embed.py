"""Embedding a verification set: the same numbers however it is stored, cut or shared out."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from arcterm_registry import Preprocess
from torch import nn

from arcterm.errors import DataError
from arcterm.train.world import World
from arcterm.verify import embed, protocol
from arcterm.verify.embed import Embedder, find_distinct, normalize


class Pairs:
    def __init__(self, images, same):
        self.images, self.same = images, same


@pytest.fixture
def pairs():
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (16, 16, 3), dtype=np.uint8) for _ in range(40)]
    return Pairs(images, np.arange(20) % 2 == 0)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(196, 8)).eval()


def embedder(backbone, batch=7):
    return Embedder(backbone, Preprocess(), (16, 16), batch, World())


def test_flip_sum_and_xnorm(pairs, backbone):
    result = embedder(backbone).verify("set", pairs, 5, lambda done, total: None)
    x = normalize(torch.from_numpy(np.stack(pairs.images)), Preprocess())
    with torch.no_grad():
        plain, mirrored = backbone(x), backbone(x.flip(3))
    expected = protocol.evaluate((plain + mirrored).numpy(), pairs.same)
    assert (result.accuracy, result.std) == (expected.accuracy, expected.std)
    assert result.threshold == pytest.approx(expected.threshold)
    assert float(result.xnorm) == pytest.approx(
        float(torch.cat([plain, mirrored]).norm(dim=1).mean()), rel=1e-6
    )
    assert (result.step, result.set, result.pairs) == (5, "set", 20)


def test_the_batch_size_does_not_matter(pairs, backbone):
    results = [embedder(backbone, batch).verify("s", pairs, 1, lambda *_: None) for batch in (1, 7, 64)]
    assert len({result.accuracy for result in results}) == 1


def test_a_picture_in_many_pairs_is_embedded_once(pairs, backbone):
    shared = Pairs([pairs.images[i % 5] for i in range(40)], pairs.same)
    chosen, where = find_distinct(shared.images)
    assert chosen == [0, 1, 2, 3, 4]
    assert [chosen[w] for w in where[:7]] == [0, 1, 2, 3, 4, 0, 1]
    copied = Pairs([image.copy() for image in shared.images], pairs.same)
    assert len(find_distinct(copied.images)[0]) == 40
    a, b = (embedder(backbone).verify("s", p, 1, lambda *_: None) for p in (shared, copied))
    assert (a.accuracy, a.threshold) == (b.accuracy, b.threshold)
    assert float(a.xnorm) == pytest.approx(float(b.xnorm), rel=1e-6)


def test_pictures_are_decoded_by_threads_and_given_by_one(pairs, backbone, monkeypatch):
    read, decoded = [], []
    decode = embed.images.decode

    class Given(Pairs):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            read.append((index, threading.current_thread()))
            return pairs.images[index]

    def noted(picture, **how):
        decoded.append(threading.current_thread())
        return decode(picture, **how)

    monkeypatch.setattr(embed, "cores_of_rank", lambda ranks: 3)
    monkeypatch.setattr(embed.images, "decode", noted)
    found = embedder(backbone).verify("s", Pairs(Given([], []), pairs.same), 1, lambda *_: None)
    assert read == [(index, threading.main_thread()) for index in range(40)]
    assert threading.main_thread() not in decoded
    monkeypatch.undo()
    again = embedder(backbone).verify("s", pairs, 1, lambda *_: None)
    assert (found.accuracy, found.threshold, found.xnorm) == (again.accuracy, again.threshold, again.xnorm)


def test_progress_goes_to_the_end(pairs, backbone):
    said = []
    embedder(backbone).verify("s", pairs, 1, lambda done, total: said.append((done, total)))
    assert said[-1] == (40, 40)


def test_a_picture_of_another_size_is_named(pairs, backbone):
    pairs.images[7] = np.zeros((20, 16, 3), np.uint8)
    with pytest.raises(DataError, match=r"set\.bin image 7"):
        embedder(backbone).verify("set", pairs, 1, lambda *_: None)


def test_pixels_are_rgb_minus_mean_times_scale():
    pixels = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    pixels[0, 0, 1, 2] = 255
    x = normalize(pixels, Preprocess())
    assert x.shape == (1, 3, 2, 2)
    assert x[0, 2, 0, 1] == pytest.approx(127.5 / 128)
    assert x[0, 0, 0, 0] == pytest.approx(-127.5 / 128)


def test_planes_of_their_own_mean_and_scale_in_the_order_of_the_network():
    pixels = torch.tensor([10, 100, 200], dtype=torch.uint8).repeat(2, 4, 5, 1)
    mean, scale = (1.0, 2.0, 3.0), (0.5, 0.25, 0.125)
    rgb = normalize(pixels, Preprocess(mean=mean, scale=scale))
    wanted = torch.tensor([9 * 0.5, 98 * 0.25, 197 * 0.125]).reshape(3, 1, 1).expand(2, 3, 4, 5)
    assert torch.equal(rgb, wanted)
    bgr = normalize(pixels, Preprocess(mean=mean, scale=scale, channels="bgr"))
    assert torch.equal(bgr, wanted.flip(1))
    assert bgr.is_contiguous(memory_format=torch.channels_last)
