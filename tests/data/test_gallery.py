"""The HTML report: whole, small, and safe whatever the names in the data are."""

from __future__ import annotations

import base64
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from arcterm.errors import DataError
from arcterm.formats.images import decode, encode_jpeg
from tests.data.checks import make_pack, picture, pictures, run_check

VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """What a browser would see: tags in order, pictures, text; fails where tags don't match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.images: list[bytes] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        assert not any(name.startswith("on") for name, _ in attrs)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value is not None and value.startswith("data:image/jpeg;base64,")
                self.images.append(base64.b64decode(value.split(",", 1)[1], validate=True))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_shows_what_was_found(tmp_path: Path) -> None:
    people = pictures()
    people[2][1] = people[0][0]
    page_path = tmp_path / "page.html"
    page_path.write_text("an older one")
    report = run_check(tmp_path, make_pack(tmp_path / "pack", people), html=str(page_path))
    assert Path(report.data["html"]).read_bytes() == page_path.read_bytes()
    page = Page(page_path)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    for words in ("1 problem", "Shared by several people", "Some people", "label 2 person 2 (3 images)"):
        assert words in page.text
    for image in page.images:
        assert decode(image, size=None, source="the page").shape == (112, 112, 3)
    assert page_path.stat().st_size < 500_000


@pytest.mark.parametrize("place", ["", "missing/page.html"])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, place: str) -> None:
    with pytest.raises(DataError, match="directory"):
        run_check(tmp_path, make_pack(tmp_path / "pack"), html=str(tmp_path / place))


def test_names_can_do_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    hostile = ["<script>alert(1)<", "a\x1b[31mred\x07", "b\u202egpj", '"><b>bold', "&lt;"]
    for n, name in enumerate(hostile):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.jpg").write_bytes(encode_jpeg(picture(n)))
        (folder / name / "2.jpg").write_bytes(b"\xff\xd8\xff broken")
    report = run_check(tmp_path, folder, html=str(tmp_path / "page.html"))
    page = Page(tmp_path / "page.html")
    assert page.tags["script"] == page.tags["b"] - 1 == 0
    assert all(image for image in page.images)
    assert "<script>alert(1)<" in page.text
    for written in (page.text, "\n".join(report.lines)):
        assert not any(ord(c) < 32 and c != "\n" for c in written)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    try:
        for name in (b"\xff\xfe", b"plain"):
            place = Path(bytes(folder).decode() + "/" + name.decode("utf-8", "surrogateescape"))
            place.mkdir(parents=True)
            (place / "1.jpg").write_bytes(encode_jpeg(picture(len(name)))[:-200])
    except OSError:
        pytest.skip("this file system has no such names")
    report = run_check(tmp_path, folder)
    assert report.problems == 2
    Page(Path(report.data["html"]))
