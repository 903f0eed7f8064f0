"""Weights of MTCNN from three kinds of files: the same numbers, and what is not them is refused in words."""

from __future__ import annotations

import io
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.detectors.cascade import weights
from arcterm.detectors.cascade.networks import Output, Proposal, Refinement
from arcterm.errors import DataError
from arcterm.formats import npydict

NETWORKS = (Proposal, Refinement, Output)


@pytest.fixture
def copied(tmp_path: Path, mtcnn_folder: Path) -> Path:
    """A folder of the three ``.npy`` that may be written to."""
    for number in (1, 2, 3):
        (tmp_path / f"det{number}.npy").write_bytes((mtcnn_folder / f"det{number}.npy").read_bytes())
    return tmp_path


def refused(folder: Path, *reasons: str) -> DataError:
    with pytest.raises(DataError) as caught:
        weights.load(folder)
    for reason in reasons:
        assert reason in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.long
def test_npy_and_pt_give_the_same_six_boxes(mtcnn_folder, wheel, six_faces):
    found = []
    for folder in (mtcnn_folder, wheel):
        made = get("detector", "mtcnn").make(str(folder), minsize=40, threshold3=0.9)
        found.append(np.array([[*face.box, face.score] for face in made.detect([six_faces])[0]]))
    assert found[0].shape == (6, 5)
    assert np.array_equal(*found)


def test_npy_and_pt_hold_the_same_numbers(mtcnn_folder, wheel):
    for number, name in enumerate(("pnet.pt", "rnet.pt", "onet.pt"), 1):
        ours, theirs = weights.read(mtcnn_folder / f"det{number}.npy"), weights.read(wheel / name)
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("number", [1, 2])
def test_params_give_the_same_outputs(mtcnn_folder, number):
    kind = NETWORKS[number - 1]
    x = torch.rand(3, 3, 24, 24) * 2 - 1
    outputs = []
    for name in (f"det{number}.npy", f"det{number}-0001.params"):
        network = kind()
        weights.fill(network, mtcnn_folder / name)
        outputs.append(network(x))
    for ours, theirs in zip(*outputs, strict=True):
        assert torch.equal(ours, theirs)


def test_npy_is_what_numpy_reads(mtcnn_folder):
    for number in (1, 2, 3):
        path = mtcnn_folder / f"det{number}.npy"
        wanted = np.load(path, allow_pickle=True, encoding="latin1").item()
        found = npydict.read(path)
        assert found.keys() == wanted.keys()
        for layer in found:
            assert found[layer].keys() == wanted[layer].keys()
            assert all(np.array_equal(found[layer][part], wanted[layer][part]) for part in found[layer])


class TestFoldersThatLackSomething:
    def test_missing(self, tmp_path):
        refused(tmp_path / "none", "is not there")
        refused(tmp_path, "three files of any kind")

    def test_a_file_in_place_of_the_folder(self, mtcnn_folder):
        refused(mtcnn_folder / "det1.npy", "is a file")

    def test_some_are_missing(self, copied, mtcnn_folder):
        (copied / "det1.npy").unlink()
        (copied / "det3.npy").unlink()
        refused(copied, "det1.npy, det3.npy")
        (copied / "det2.npy").unlink()
        for name in ("det1-0001.params", "det2-0001.params"):
            shutil.copy(mtcnn_folder / name, copied)
        refused(copied, "lacks det3-0001.params")


class TestFilesOfAnother:
    def test_all_that_are_wrong_are_named_at_once(self, copied):
        (copied / "det1.npy").write_bytes(b"")
        (copied / "det2.npy").write_bytes((copied / "det3.npy").read_bytes())
        (copied / "det3.npy").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
        error = refused(
            copied, "det1.npy", "no .npy file", "not MTCNN's Refinement network", "Git LFS pointer"
        )
        assert "no dense4.weight" in error.message and "dense6_1" in error.message
        assert "git lfs pull" in error.hint

    @pytest.mark.parametrize("length", [100, 1000, 20_000])
    def test_cut_short(self, copied, length):
        data = (copied / "det1.npy").read_bytes()
        (copied / "det1.npy").write_bytes(data[:length])
        refused(copied, "det1.npy")

    @pytest.mark.parametrize("saved", [np.zeros(3), np.array({"a": 1}, object), np.array([{}], object)])
    def test_another_npy(self, copied, saved):
        np.save(copied / "det1.npy", saved, allow_pickle=True)
        refused(copied, "det1.npy")

    @pytest.mark.parametrize("old", [b"'shape': ()", b"'|O'", b"NUMPY\x01"])
    def test_a_header_that_is_no_header(self, copied, old):
        data = (copied / "det1.npy").read_bytes()
        (copied / "det1.npy").write_bytes(data.replace(old, b"{[(" + b"'" * (len(old) - 3), 1))
        refused(copied, "det1.npy")

    def test_numbers_that_are_not_finite(self, copied, mtcnn_folder):
        layers = np.load(mtcnn_folder / "det1.npy", allow_pickle=True, encoding="latin1").item()
        layers["conv1"]["weights"][0, 0, 0, 0] = np.nan
        layers["conv2"]["weights"] = layers["conv2"]["weights"][:, :, :5]
        np.save(copied / "det1.npy", np.array(layers, object), allow_pickle=True)
        refused(copied, "conv1.weight with numbers that aren't finite", "conv2.weight of (16, 5, 3, 3)")

    def test_nothing_in_it_is_run(self, copied, tmp_path):
        ran = tmp_path / "ran"
        header = (copied / "det1.npy").read_bytes()[:80]
        (copied / "det1.npy").write_bytes(header + pickle.dumps(Command(ran), protocol=2))
        refused(copied, "det1.npy", "isn't allowed")
        assert not ran.exists()


class Command:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


class TestTorchFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The three files with random weights."""
        for kind, name in zip(NETWORKS, ("pnet.pt", "rnet.pt", "onet.pt"), strict=True):
            torch.save(kind().state_dict(), tmp_path / name)
        return tmp_path

    def test_saved_anew(self, folder):
        assert len(weights.load(folder)) == 3

    def test_in_another_order(self, folder):
        shutil.copy(folder / "onet.pt", folder / "rnet.pt")
        refused(folder, "rnet.pt is not MTCNN's Refinement network")

    def test_nothing_in_it_is_run(self, folder, tmp_path):
        ran = tmp_path / "ran"
        torch.save({"conv1.weight": Command(ran)}, folder / "pnet.pt")
        refused(folder, "pnet.pt holds more than tensors")
        assert not ran.exists()

    @pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04" + bytes(100), bytes(1000)])
    def test_damaged(self, folder, data):
        (folder / "rnet.pt").write_bytes(data)
        refused(folder, "rnet.pt")

    def test_cut_short(self, folder):
        data = (folder / "onet.pt").read_bytes()
        (folder / "onet.pt").write_bytes(data[: len(data) // 2])
        refused(folder, "onet.pt is damaged")

    def test_one_that_unpacks_to_far_more(self, folder):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("pnet/data.pkl", bytes(40 << 20))
        (folder / "pnet.pt").write_bytes(stream.getvalue())
        refused(folder, "far larger than the file")


class TestWhereTheyAre:
    @pytest.fixture(autouse=True)
    def _nothing_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("ARCTERM_MTCNN", raising=False)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def find(self) -> str | None:
        return get("detector", "mtcnn").find_weights()

    def test_named(self, monkeypatch, tmp_path):
        monkeypatch.setenv("ARCTERM_MTCNN", str(tmp_path))
        assert self.find() == str(tmp_path)

    def test_in_the_users_folder(self, tmp_path):
        folder = tmp_path / "arcterm" / "detectors" / "mtcnn"
        folder.mkdir(parents=True)
        for name in ("det1.npy", "det2.npy"):
            (folder / name).touch()
        assert self.find() != str(folder)
        (folder / "det3.npy").touch()
        assert self.find() == str(folder)

    def test_in_the_wheel(self, wheel):
        assert Path(self.find() or "").samefile(wheel)

    def test_a_wheel_whose_files_are_gone(self, tmp_path, monkeypatch):
        site = tmp_path / "site"
        info = site / "facenet_pytorch-2.6.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: facenet-pytorch\nVersion: 2.6.0\n")
        monkeypatch.syspath_prepend(str(site))
        assert self.find() is None  # without a list of files
        (info / "RECORD").write_text("facenet_pytorch/data/pnet.pt,,\n")
        assert self.find() is None
        data = site / "facenet_pytorch" / "data"
        data.mkdir(parents=True)
        for name in ("pnet.pt", "rnet.pt", "onet.pt"):
            (data / name).touch()
        assert self.find() == str(data)

    def test_the_wheel_is_not_imported(self, wheel):
        code = (
            "import sys; from arcterm_registry import get; found = get('detector', 'mtcnn').find_weights(); "
            "print(found is not None, *{'torch', 'numpy', 'facenet_pytorch'}.intersection(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["True"]
