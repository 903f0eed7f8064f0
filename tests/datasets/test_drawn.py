"""The demo: the same faces every time, unseen people in its sets, too hard for pixels alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from arcterm_registry import get

from arcterm.cache import directory as cache_directory
from arcterm.datasets.drawn import pack as drawn
from arcterm.datasets.drawn import traits
from arcterm.datasets.drawn.camera import picture
from arcterm.errors import DataError
from arcterm.formats.images import decode

SMALL = {"identities": 3, "images": 2, "seed": 5}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a small demo in it."""
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCTERM_CACHE", str(place))
        drawn.build(**SMALL)
    return place


@pytest.fixture(autouse=True)
def _cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCTERM_CACHE", str(cache))


@pytest.mark.long
def test_the_demo_is_a_pack() -> None:
    declared = get("dataset", "demo")
    assert declared.settings({}) == {"identities": 200, "images": 20, "seed": 0}
    faces = declared.make(**SMALL)
    assert (len(faces), faces.classes, list(faces.verification)) == (6, 3, ["demo_frontal", "demo_pose"])
    assert [faces[n].label for n in range(6)] == [0, 0, 1, 1, 2, 2]
    facts = declared.make_facts(**SMALL)
    assert dict(facts.verification) == {"demo_frontal": 400, "demo_pose": 400}
    assert (facts.images, facts.image_size, facts.problems) == (6, (112, 112), ())
    for pairs in faces.verification.values():
        assert pairs.same.reshape(10, 40).sum(1).tolist() == [20] * 10
        assert len({bytes(image) for image in pairs.images}) == 400


@pytest.mark.long
def test_it_is_drawn_once(cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    assert drawn.build(**SMALL, progress=lambda *n: calls.append(n)).parent == cache
    assert calls == []
    assert [path.name for path in cache.iterdir()] == [drawn.cached(**SMALL).name]


@pytest.mark.long
def test_every_option_has_a_place_of_its_own() -> None:
    options = [(3, 2, 5), (3, 2, 6), (4, 2, 5), (3, 3, 5)]
    assert len({drawn.cached(*option) for option in options}) == 4


def test_the_same_options_give_the_same_bytes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "STRANGERS", 10)
    digests = []
    for place in ("a", "b"):
        monkeypatch.setenv("ARCTERM_CACHE", str(tmp_path / place))
        calls: list[tuple[int, int]] = []
        pack = drawn.build(**SMALL, progress=lambda *n, calls=calls: calls.append(n))
        assert calls == [(n, 6 + 2 * 10 * 4) for n in range(1, 87)]
        digests.append([hashlib.sha256(file.read_bytes()).digest() for file in sorted(pack.iterdir())])
    assert digests[0] == digests[1] and len(digests[0]) == 6


def test_another_process_may_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCTERM_CACHE", str(tmp_path))
    monkeypatch.setattr(drawn, "STRANGERS", 10)
    place = drawn.cached(2, 1, 0)

    def other(done: int, total: int) -> None:
        if done == total:
            place.mkdir()
            (place / "train.rec").write_bytes(b"the other's")

    assert drawn.build(2, 1, 0, progress=other) == place
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
    assert (place / "train.rec").read_bytes() == b"the other's"


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ARCTERM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"can't be made: .*file is no directory"):
        drawn.build(2, 1, 0)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCTERM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/x/arcterm")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_directory() == Path.home() / ".cache" / "arcterm"


def test_a_picture_is_one_of_a_person() -> None:
    """Seen alike, a person's pictures resemble each other more than another's; pixels alone don't tell."""
    still = {name: (low + high) / 2 for name, (low, high) in traits.CIRCUMSTANCES.items()} | {"noise": 1.0}
    shots = [
        picture(traits.person(0, n), still, traits.generator(0, n, shot)).astype(float)[30:80, 30:82]
        for n in range(10)
        for shot in range(2)
    ]
    own = np.mean([np.abs(shots[2 * n] - shots[2 * n + 1]).mean() for n in range(10)])
    others = np.mean([np.abs(shots[2 * n] - shots[(2 * n + 2) % 20]).mean() for n in range(10)])
    assert others > 5 * own


def test_pixels_alone_do_not_verify() -> None:
    faces = get("dataset", "demo").make(**SMALL)
    for pairs in faces.verification.values():
        pixels = np.stack([decode(image, size=(112, 112), source="") for image in pairs.images])
        flat = pixels[:, ::4, ::4].reshape(len(pixels), -1).astype(np.float32)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        distance = ((flat[0::2] - flat[1::2]) ** 2).sum(1)
        best = max(((distance < t) == pairs.same).mean() for t in np.linspace(0, distance.max(), 200))
        assert 0.5 <= best < 0.75
