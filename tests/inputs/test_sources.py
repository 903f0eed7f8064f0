"""The one door from text to data set, with a stranger's data set behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, DataError
from arcterm.inputs import sources

STRANGE = """
from arcterm_registry import Dataset, Option
data = Dataset(summary="x", factory="strange:make", inspect="strange:inspect", suffixes=(".odd",),
               files=("beside",), options=(Option(name="beside", type=str, default="", help="a file"),))
def inspect(path, *, beside, progress=print):
    from arcterm_registry.contracts import DatasetFacts
    progress(1, 2)
    if path.endswith("bad.odd"): raise KeyError("no header")
    return DatasetFacts(images=3, classes=2, image_size=(112, 112), fingerprint=beside)
def make(path, *, beside):
    if path.endswith("bad.odd"): raise KeyError("no header")
    return [path, beside]
"""


@pytest.fixture(autouse=True)
def strange(distribution: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    distribution("strange", entry_points="[arcterm.datasets]\nstrange = strange:data\n", strange=STRANGE)
    monkeypatch.chdir(tmp_path)
    for name in ("good.odd", "bad.odd"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_path_becomes_a_data_set_with_all_of_its_options(strange: Path) -> None:
    found = sources.find("good.odd", {"beside": "x/../y"})
    assert (found.name, found.path) == ("strange", strange / "good.odd")
    assert found.options == {"path": str(strange / "good.odd"), "beside": str(strange / "y")}
    seen: list[tuple[int, ...]] = []
    assert found.inspect(lambda *at: seen.append(at)).images == 3
    assert seen == [(1, 2)]  # a stranger's two arguments
    assert list(found.open()) == [str(strange / "good.odd"), str(strange / "y")]


def test_a_training_opens_the_same() -> None:
    found = sources.find("good.odd")
    config = TrainConfig(
        backbone="tiny",
        loss="arcface",
        dataset=found.name,
        dataset_options=dict(found.options),
        device="cpu",
        nproc=1,
        batch_size=2,
        epochs=1,
        steps=1,
        lr=0.1,
    )
    assert sources.from_config(config) == found


@pytest.mark.parametrize("act", [sources.DataSource.inspect, sources.DataSource.open])
def test_what_a_stranger_raises_is_said_in_words(act: Callable[[sources.DataSource], object]) -> None:
    with pytest.raises(DataError, match="dataset 'strange' can't be read: KeyError: 'no header'") as caught:
        act(sources.find("bad.odd"))
    assert isinstance(caught.value, ArctermError) and caught.value.hint == "check its files"
