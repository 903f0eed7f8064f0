"""Archives from strangers: what leads out of them, pretends or swells is refused by name."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.data.make.archives import FLOOR, is_archive, unpack
from arcterm.errors import DataError
from arcterm.progress import unheard


def zipped(place: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in entries.items():
            bundle.writestr(name, data)
    return place


def tarred(place: Path, *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(place, mode) as bundle:  # type: ignore[call-overload]
        for info, data in entries:
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return place


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_plain_files_come_out(tmp_path: Path) -> None:
    place = zipped(tmp_path / "a.zip", **{"a/1.jpg": b"one", "a/readme.html": b"x", "b.lst": b"list"})
    assert unpack(place, tmp_path / "out", unheard) == 1
    found = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")}
    assert found == {"a/1.jpg": b"one", "b.lst": b"list"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "a/..", "a\\..\\x.jpg"])
@pytest.mark.parametrize("make", ["zip", "tar"])
def test_names_that_lead_out(tmp_path: Path, name: str, make: str) -> None:
    place = tmp_path / "in" / f"a.{make}"
    place.parent.mkdir()
    if make == "zip":
        zipped(place, **{name: b"x"})
    else:
        tarred(place, (entry(name), b"x"), mode="w")
    with pytest.raises(DataError, match=r"leads out of the archive|a backslash in its name") as caught:
        unpack(place, tmp_path / "out", unheard)
    assert repr(name).strip("'")[:4] in caught.value.message
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [place]


@pytest.mark.parametrize("name", ["a\x1b[31m.jpg", "a\n.jpg", "a\u202egpj.exe.jpg", "\x07.jpg"])
def test_names_with_control_characters(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="control characters") as caught:
        unpack(zipped(tmp_path / "a.zip", **{name: b"x"}), tmp_path / "out", unheard)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE],
    ids=["sym", "hard", "dev", "fifo"],
)
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    place = tarred(tmp_path / "a.tgz", (entry("a.jpg", kind, "/etc/passwd"), b""))
    with pytest.raises(DataError, match=r"member 'a.jpg' is a link or a device"):
        unpack(place, tmp_path / "out", unheard)


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        info = zipfile.ZipInfo("a.jpg")
        info.external_attr = 0o120777 << 16
        bundle.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"'a.jpg' is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out", unheard)


def make_zip_bomb(folder: Path) -> Path:
    return zipped(folder / "a.zip", **{"a.jpg": bytes(FLOOR + 1)})


def make_many(folder: Path) -> Path:
    """Each small enough by itself."""
    return zipped(folder / "a.zip", **{f"{n}.jpg": bytes(FLOOR // 4) for n in range(6)})


def make_tar_bomb(folder: Path) -> Path:
    return tarred(folder / "a.tgz", (entry("a.jpg"), bytes(2 * FLOOR)))


def make_unread(folder: Path) -> Path:
    """Large members that nobody would unpack still have to be read past."""
    return tarred(folder / "a.tgz", (entry("a.html"), bytes(4 * FLOOR)), (entry("b.jpg"), b"x"))


@pytest.mark.parametrize("make", [make_zip_bomb, make_many, make_tar_bomb, make_unread])
def test_what_swells(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    place = make(tmp_path)
    assert place.stat().st_size < 200_000
    with pytest.raises(DataError, match="to more than 100 times its size"):
        unpack(place, tmp_path / "out", unheard)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file()) <= FLOOR


def test_a_zip_that_lies_about_its_sizes(tmp_path: Path) -> None:
    """The size in the directory is 10; the data are a megabyte."""
    place = zipped(tmp_path / "a.zip", **{"a.jpg": bytes(1 << 20)})
    data = bytearray(place.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    place.write_bytes(data)
    with pytest.raises(DataError):
        unpack(place, tmp_path / "out", unheard)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file()) <= 10


def test_twice_the_same_name(tmp_path: Path) -> None:
    place = tarred(tmp_path / "a.tar", (entry("a.jpg"), b"x"), (entry("a.jpg"), b"y"), mode="w")
    with pytest.raises(DataError, match=r"can't be unpacked: .*exists"):
        unpack(place, tmp_path / "out", unheard)


def test_damage(tmp_path: Path) -> None:
    whole = tarred(tmp_path / "a.tgz", (entry("a.jpg"), os.urandom(5000))).read_bytes()
    for number, data in enumerate(
        (whole[:100], whole[:-500], b"", b"PK\x03\x04 nothing", b"\x1f\x8b" + bytes(90))
    ):
        place = tmp_path / f"{number}.tgz"
        place.write_bytes(data)
        with pytest.raises(DataError, match=rf"{number}.tgz (is damaged|can't be unpacked)"):
            unpack(place, tmp_path / f"out{number}", unheard)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("any")
    start = data.draw(st.sampled_from([b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00", b""]))
    (folder / "a.zip").write_bytes(start + data.draw(st.binary(max_size=600)))
    with contextlib.suppress(DataError):
        unpack(folder / "a.zip", folder / "out", unheard)


def test_names_of_archives() -> None:
    assert all(is_archive(Path(f"x{suffix}")) for suffix in (".zip", ".TAR.GZ", ".tgz", ".tar"))
    assert not is_archive(Path("x.rec"))
