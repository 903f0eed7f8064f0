"""Damage at any place of a small pack: named where the pack has checksums, never silent in structure where it
has none; what training makes of it; small images that declare more pixels than anybody has memory for.
"""

from __future__ import annotations

import os
import pickletools
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import arcterm_registry
import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.formats.images import decode
from arcterm.formats.labelnames import read_names
from arcterm.formats.pairs.binfile import read_pairs, write_pairs
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.checksums import read_checksums, write_checksums
from arcterm.formats.recordio.container import MAGIC_BYTES, RecordFile, RecordWriter
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.train.feed.loader import Loader
from arcterm.train.feed.quarantine import Quarantine
from arcterm.train.feed.sampler import BatchIndices
from fuzz.seeds import CORPUS, bombs
from fuzz.targets import TARGETS
from tests.data.checks import kinds, run_check
from tests.jobs import Heard

pytestmark = pytest.mark.long
SIDE = 16
SIZE = (SIDE, SIDE)
SEALED = ("train.rec", "train.idx", "property", "labels.txt", "heldout.bin", "train.crc")
OPEN = SEALED[:-1]
COMMENT = b"\xff\xfe\x00\x0c" + b"xx" + MAGIC_BYTES + b"xxxx"
FRAME, HEADER, LABELS = 8, 24, 8


def jpeg(seed: int, *, grey: bool = False, comment: bytes = b"") -> bytes:
    """A JPEG of half a kilobyte; with `COMMENT` it holds the RecordIO magic where a record is split at it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4) if grey else (4, 4, 3), np.uint8)
    pixels = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    flags = [] if grey else [cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    data = cv2.imencode(".jpg", pixels, flags)[1].tobytes()
    return data[:2] + comment + data[2:]


IMAGES = (jpeg(0, comment=COMMENT), jpeg(1, grey=True), jpeg(2))
HELD_OUT = tuple(jpeg(n) for n in range(3, 6))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of two people and a verification set of three others, with checksums; 3 KB in all."""
    place = tmp_path_factory.mktemp("damage") / "pack"
    with write_pack(place, SIZE) as writer:
        for image, label in zip(IMAGES, (0, 0, 1), strict=True):
            writer.add(image, label, ("Anna", "Bert")[label])
        a, b, c = HELD_OUT
        write_pairs(writer.directory / "heldout.bin", [a, b, a, c], [True, False])
    assert (place / "train.rec").read_bytes().count(MAGIC_BYTES) == 7  # six records, one of them in two parts
    return place


@pytest.fixture
def sealed(tmp_path: Path, original: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "sealed"))


@pytest.fixture
def unsealed(tmp_path: Path, original: Path) -> Path:
    place = Path(shutil.copytree(original, tmp_path / "unsealed"))
    (place / "train.crc").unlink()
    return place


class Content(NamedTuple):
    """Everything that training and verification take from a pack."""

    labels: list[int]
    pixels: list[bytes]
    sets: list[tuple[str, list[bytes], list[bool]]]
    names: list[str]
    facts: tuple[int, int, tuple[int, int]]


def read(place: Path) -> Content:
    """Open the pack as a run does and read all of it; raises `DataError`, also for a problem it tells of."""
    faces = arcterm_registry.get("dataset", "recordio").make(place)
    labels = faces.labels(lambda done, total: None).tolist()
    records = [faces[index] for index in range(len(faces))]
    pixels = [decode(record.image, size=SIZE, source=record.source).tobytes() for record in records]
    sets = []
    for name, pairs in faces.verification.items():
        shown = [decode(image, size=SIZE, source=f"{name}.bin").tobytes() for image in pairs.images]
        sets.append((name, shown, pairs.same.tolist()))
    facts = faces.facts(lambda done, total: None)
    if facts.problems:
        raise DataError(f"{place / 'property'}: {facts.problems[0]}")
    told = (facts.images, facts.classes, facts.image_size)
    assert [record.label for record in records] == labels
    return Content(labels, pixels, sets, read_names(place, faces.classes), told)


def put(path: Path, data: bytes) -> None:
    """A new file, since the old one may still be mapped."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def spans(place: Path) -> dict[int, range]:
    """The bytes of each record by its key, from the text of the index alone."""
    lines = [line.split("\t") for line in (place / "train.idx").read_text().splitlines()]
    starts = [*sorted(int(offset) for _, offset in lines), (place / "train.rec").stat().st_size]
    return {int(key): range(int(at), starts[starts.index(int(at)) + 1]) for key, at in lines}


def changed(data: bytes, every: int = 8) -> Iterator[tuple[int, bytes]]:
    """Each byte with another value at random, and each `every`-th one with each of its bits flipped."""
    draw = random.Random(len(data))
    for at, byte in enumerate(data):
        values = {(byte + draw.randrange(1, 256)) % 256}
        if at % every == 0:
            values |= {byte ^ 1 << bit for bit in range(8)}
        for value in sorted(values):
            yield at, data[:at] + bytes([value]) + data[at + 1 :]


def cut(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every beginning of a file but all of it."""
    return ((size, data[:size]) for size in range(len(data)))


# With checksums.


@pytest.mark.parametrize("name", SEALED)
def test_every_change_is_named_where_there_are_checksums(sealed: Path, name: str) -> None:
    data, where = (sealed / name).read_bytes(), spans(sealed)
    for at, bad in changed(data):
        put(sealed / name, bad)
        with pytest.raises(DataError) as caught:
            read(sealed)
        message = caught.value.message
        assert name in message, (at, message)
        if name == "train.rec":
            key, offset = map(int, re.search(r"key (\d+) at byte (\d+)", message).groups())
            assert {at, offset} <= set(where[key]), (at, message)


@pytest.mark.parametrize("name", SEALED)
def test_every_truncation_is_named_where_there_are_checksums(sealed: Path, name: str) -> None:
    for size, bad in cut((sealed / name).read_bytes()):
        put(sealed / name, bad)
        with pytest.raises(DataError) as caught:
            read(sealed)
        assert name in caught.value.message, size


# Without: what carries structure is refused all the same.

PIXELS = {"DQT", "DHT", "scan", "tables"}
"""Of a JPEG: a change there gives another picture."""


class Silent(NamedTuple):
    """Places of a file whose damage nobody sees: where something else is read (`other`), where nothing is."""

    other: set[int]
    same: set[int]


def silent(place: Path, name: str, damage: Iterator[tuple[int, bytes]]) -> Silent:
    """What isn't refused among the damaged versions of a file."""
    good, data, found = read(place), (place / name).read_bytes(), Silent(set(), set())
    for at, bad in damage:
        put(place / name, bad)
        try:
            got = read(place)
        except DataError:
            continue
        (found.same if got == good else found.other).add(at)
    put(place / name, data)
    return found


def layout(image: bytes) -> dict[int, str]:
    """What each byte of a JPEG is: "structure" (marks, lengths, sizes), or the name of what it belongs to.

    "tables" chooses among the tables of a picture or a decoder; "note" is passed over.
    """
    names = {0xC0: "SOF", 0xC4: "DHT", 0xDB: "DQT", 0xDA: "SOS", 0xE0: "note", 0xFE: "note"}
    kinds, at, name = dict.fromkeys(range(len(image)), "scan"), 2, ""
    while name != "SOS":
        name, end = names[image[at + 1]], at + 2 + int.from_bytes(image[at + 2 : at + 4], "big")
        kinds |= dict.fromkeys(range(at, end), "structure")
        match name:
            case "SOF":
                kinds[at + 1] = "note"  # SOF1 may say all that SOF0 says
                kinds |= dict.fromkeys(range(at + 10, end), "tables")
            case "SOS":
                kinds |= dict.fromkeys(range(at + 6, end - 3, 2), "tables")
            case "DHT":
                kinds |= dict.fromkeys(range(at + 4, end), name) | {at + 1: "tables"}
            case _:
                kinds |= dict.fromkeys(range(at + 4, end), name)
                kinds[at + 1] = "note" if name == "note" else "structure"
        at = end
    return kinds | dict.fromkeys([0, 1, len(image) - 2, len(image) - 1], "structure")


def record_layout(place: Path) -> dict[int, str]:
    """What each byte of ``train.rec`` is: of images as above; "free" where no reader looks; "range"; …."""
    kinds = dict.fromkeys(range((place / "train.rec").stat().st_size), "structure")
    for key, span in spans(place).items():
        body = span.start + FRAME
        kinds |= dict.fromkeys(range(body + 4, body + HEADER), "free")  # a label beside flag 2, id and id2
        if key > len(IMAGES):
            kinds |= dict.fromkeys(range(body + HEADER, body + HEADER + LABELS), "range")
        if not 1 <= key <= len(IMAGES):
            continue
        if key < 3:
            kinds[body + HEADER + 3] = "free"  # the sign of the label 0
        kinds |= dict.fromkeys(range(body + HEADER + 4, body + HEADER + LABELS), "free")  # face2rec2's note
        image, start = IMAGES[key - 1], body + HEADER + LABELS
        magic = image.find(MAGIC_BYTES)
        for byte, kind in layout(image).items():
            if magic < 0 or byte < magic:
                kinds[start + byte] = kind
            elif byte >= magic + 4:  # the magic became a frame
                kinds[start + byte + FRAME - 4] = kind
        last = start + len(image) + (FRAME - 4 if magic >= 0 else 0)
        kinds |= dict.fromkeys(range(last, span.stop), "padding")
        if magic < 0 and last < span.stop:
            kinds[span.start + 4] = "length"  # it may reach into the padding
    return kinds


def test_structural_damage_of_the_records_is_refused_without_checksums(unsealed: Path) -> None:
    data, kinds = (unsealed / "train.rec").read_bytes(), record_layout(unsealed)
    structure = [at for at, kind in kinds.items() if kind == "structure"]
    assert len(structure) > 200
    bits = ((at, flipped(data, at, bit)) for at in structure for bit in range(8))
    assert silent(unsealed, "train.rec", bits) == (set(), set())
    found = silent(unsealed, "train.rec", changed(data))
    assert {kinds[at] for at in found.other} <= PIXELS
    assert {kinds[at] for at in found.same} - PIXELS == {"free", "range", "padding", "note", "length"}
    assert silent(unsealed, "train.rec", cut(data)) == (set(), set())


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def test_damaged_ranges_are_found_by_the_check(tmp_path: Path, unsealed: Path) -> None:
    """Labels are read off the images where a range can't be, so nothing is lost; whoever looks is told."""
    data, where = (unsealed / "train.rec").read_bytes(), record_layout(unsealed)
    for at in [at for at, kind in where.items() if kind == "range"][3::4]:
        put(unsealed / "train.rec", flipped(data, at, 6))
        report = run_check(tmp_path, unsealed, duplicates=False)
        assert kinds(report).keys() & {"range", "record"}, at


def test_any_damage_of_the_index_is_refused_without_checksums(unsealed: Path) -> None:
    data = (unsealed / "train.idx").read_bytes()
    every = (
        (n, data[:n] + bytes([v]) + data[n + 1 :])
        for n in range(len(data))
        for v in range(256)
        if v != data[n]
    )
    assert silent(unsealed, "train.idx", every) == (set(), set())
    # the last line needs no end
    assert silent(unsealed, "train.idx", cut(data)) == (set(), {len(data) - 1})


def test_any_damage_of_the_property_is_refused_without_checksums(unsealed: Path) -> None:
    data = (unsealed / "property").read_bytes()
    assert silent(unsealed, "property", cut(data)) == (set(), set())
    assert silent(unsealed, "property", changed(data, every=1)) == (set(), set())


def test_structural_damage_of_a_verification_set_is_refused_without_checksums(unsealed: Path) -> None:
    data = (unsealed / "heldout.bin").read_bytes()
    kinds, gets, flags = dict.fromkeys(range(len(data)), "structure"), [], []
    for opcode, _, at in pickletools.genops(data):
        if opcode.name in ("PROTO", "BINPUT"):
            kinds[at + 1] = "free"  # a version, and a number that nothing may ask for
        if opcode.name == "BINSTRING":
            kinds[at + 1] = "free"  # an image may swallow the opcode after it, and end as before
        if opcode.name in ("NEWTRUE", "NEWFALSE"):
            flags.append(at)
        if opcode.name == "BINGET":
            gets.append(at + 1)
    for image in HELD_OUT:
        start = data.index(image)
        kinds |= {start + byte: kind for byte, kind in layout(image).items()}
    assert (len(flags), len(gets)) == (2, 1)
    structure = [at for at, kind in kinds.items() if kind == "structure" and at not in flags]
    bits = ((at, flipped(data, at, bit)) for at in structure for bit in range(8))
    assert silent(unsealed, "heldout.bin", bits) == (set(), set())
    found = silent(unsealed, "heldout.bin", changed(data))
    assert {kinds[at] for at in found.other - {*flags, *gets}} <= PIXELS
    assert {kinds[at] for at in found.same} <= {*PIXELS, "note", "free"}
    turned = ((at, flipped(data, at, 0)) for at in flags)
    assert silent(unsealed, "heldout.bin", turned).other == set(
        flags
    )  # a wrong answer looks like a right one
    assert silent(unsealed, "heldout.bin", cut(data)) == (set(), set())


def test_the_same_changes_without_checksums_are_missed(unsealed: Path) -> None:
    """What shows that the checksums, and not the formats, name every change above."""
    missed = {
        name: silent(unsealed, name, changed((unsealed / name).read_bytes(), every=1 << 30)) for name in OPEN
    }
    assert len(missed["train.rec"].other) > 300 and len(missed["train.rec"].same) > 100
    assert len(missed["heldout.bin"].other) > 300
    assert missed["labels.txt"].other == set(range(10))
    assert not missed["train.idx"].other | missed["property"].other


# What training makes of it.


def load(place: Path, folder: Path) -> tuple[set[int], list[bytes]]:
    """The records that the loader puts into quarantine, and the pixels of the batch."""
    pack = FacePack(place)
    heard = Heard()
    quarantine = Quarantine(folder / "quarantine", len(pack), 1.0, heard)
    order = BatchIndices(1, np.arange(len(pack)), np.zeros(len(pack), np.uint64))
    with Loader(pack, [order], image_size=SIZE, threads=1, quarantine=quarantine) as loader:
        ((batch, _),) = list(loader)
        pixels = [image.tobytes() for image in batch.images.numpy()]
    listed = {int(path.stem) for path in (folder / "quarantine").glob("*.json")}
    assert {skipped.index for skipped in heard} == listed and len(heard) == len(listed)
    return listed, pixels


@pytest.mark.parametrize("with_checksums", [True, False])
def test_training_does_without_the_damaged_record_only(
    tmp_path: Path, original: Path, with_checksums: bool
) -> None:
    place = Path(shutil.copytree(original, tmp_path / "pack"))
    if not with_checksums:
        (place / "train.crc").unlink()
    _, good = load(place, tmp_path)
    data, where = (place / "train.rec").read_bytes(), spans(place)
    outcomes: Counter[str] = Counter()
    for at, bad in list(changed(data, every=1 << 30))[::5]:
        put(place / "train.rec", bad)
        shutil.rmtree(tmp_path / "quarantine", ignore_errors=True)
        (hit,) = [key - 1 for key, span in where.items() if at in span]
        try:
            out, pixels = load(place, tmp_path)
        except DataError as error:
            assert hit not in range(len(IMAGES)) and "train.rec" in error.message, at
            outcomes["refused"] += 1
            continue
        assert out <= {hit} and (out or not with_checksums or hit not in range(len(IMAGES))), at
        assert all(pixels[n] == good[n] for n in range(len(IMAGES)) if n != hit), at
        outcomes["quarantined" if out else "not seen"] += 1
    assert outcomes["refused"] > 5 and outcomes["quarantined"] > 80
    # with checksums that is the second identity's record, which training doesn't read
    assert outcomes["not seen"] <= 8 if with_checksums else outcomes["not seen"] > 80


# Any damage at all.

_FILES = st.sampled_from(OPEN)
_PLACES = st.floats(0, 1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), _FILES, st.booleans())
def test_any_splice_is_named_or_changes_nothing(
    sealed: Path, original: Path, data: st.DataObject, name: str, with_checksums: bool
) -> None:
    """Bytes cut out, put in or taken from elsewhere; with checksums what is read is what was written."""
    put(sealed / "train.crc", (original / "train.crc").read_bytes())
    whole = (original / name).read_bytes()
    start, stop = sorted(round(data.draw(_PLACES) * len(whole)) for _ in range(2))
    other = (original / data.draw(_FILES)).read_bytes()
    first, last = sorted(round(data.draw(_PLACES) * len(other)) for _ in range(2))
    put(sealed / name, whole[:start] + data.draw(st.binary(max_size=8)) + other[first:last] + whole[stop:])
    if not with_checksums:
        (sealed / "train.crc").unlink()
    try:
        found = read(sealed)
    except DataError as error:
        assert error.message.isprintable()
    else:
        assert not with_checksums or found == read(original)
    finally:
        put(sealed / name, whole)


# Images that aren't what they declare.

_DECODE = """
import re, sys
from pathlib import Path
from arcterm.errors import DataError
from arcterm.formats.images import decode

def peak():  # not getrusage's, which begins with that of the process before this program was loaded
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10

before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decode(path.read_bytes(), size=None, source=path.name)
        print(path.name, "decoded")
    except DataError as error:
        print(error.message)
print(peak() - before)
"""


def decoded(folder: Path) -> tuple[list[str], int]:
    """What a process of its own says to each image of a folder, and the MiB that it took for all."""
    command = [sys.executable, "-c", _DECODE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    *lines, grown = done.stdout.splitlines()
    return lines, int(grown)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_small_files_that_declare_huge_images_are_refused_by_name(tmp_path: Path) -> None:
    huge, large = tmp_path / "huge", tmp_path / "large"
    huge.mkdir()
    large.mkdir()
    for name, data in bombs(65500):
        assert len(data) < 1000
        (huge / name).write_bytes(data)
    lines, grown = decoded(huge)
    assert len(lines) == 8 and grown < 64
    for line, path in zip(lines, sorted(huge.iterdir()), strict=True):
        assert line.startswith(f"{path.name}: the image declares") and "more than 36,000,000 pixels" in line
    # one that a camera may give is decoded, and takes what the others are refused
    (large / "5000.png").write_bytes(cv2.imencode(".png", np.zeros((5000, 5000, 3), np.uint8))[1].tobytes())
    lines, grown = decoded(large)
    assert lines == ["5000.png decoded"] and grown > 64


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_a_png_whose_chunk_says_it_is_huge_takes_no_room(tmp_path: Path) -> None:
    """OpenCV makes room for as much as a chunk says, 656 MiB for 118 bytes."""
    whole = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    at = whole.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(whole)
    (tmp_path / "b.png").write_bytes(whole[:at] + b"\x29" + whole[at + 1 :])
    (tmp_path / "c.png").write_bytes(whole[:-12])
    lines, grown = decoded(tmp_path)
    assert lines[0] == "a.png decoded" and all("aren't a whole image" in line for line in lines[1:])
    assert len(lines) == 3 and grown < 64


@pytest.mark.parametrize("kind", [".hdr", ".jp2", ".pam", ".pfm", ".ras"])
def test_kinds_that_only_opencv_knows_are_refused(kind: str) -> None:
    pixels = np.zeros((32, 32, 3), np.float32 if kind in (".hdr", ".pfm") else np.uint8)
    if not cv2.haveImageWriter(f"a{kind}"):
        pytest.skip(f"this OpenCV writes no {kind}")
    image = cv2.imencode(kind, pixels)[1]
    assert cv2.imdecode(image, cv2.IMREAD_COLOR) is not None
    with pytest.raises(DataError, match="aren't a whole image") as caught:
        decode(image.tobytes(), size=None, source="x")
    assert "BMP, PGM, PPM, TIFF and GIF are read" in caught.value.hint


def test_a_picture_of_countless_scans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scan of a few bytes goes over all pixels: a megabyte of them would keep a thread for minutes."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    image = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert decode(image, size=(64, 64), source="x").sum() == 0
    scan = image[image.rindex(b"\xff\xda") : -2]
    many = image[:-2] + scan * 100 + image[-2:]
    with pytest.raises(DataError, match="x: the image has more than 64 scans"):
        decode(many, size=(64, 64), source="x")
    monkeypatch.setattr(images, "MAX_SCANS", 1000)
    with pytest.raises(DataError, match="aren't a whole image"):  # found out after drawing all of them
        decode(many, size=(64, 64), source="x")


# What fuzzing and the above have found.


def written(place: Path, records: dict[int, bytes], facts: str = "1,16,16") -> Path:
    place.mkdir()
    with RecordWriter(place / "train.rec", place / "train.idx") as writer:
        for key, payload in records.items():
            writer.write(key, payload)
    (place / "property").write_text(facts)
    return place


def face(key: int, label: float = 0) -> bytes:
    return irheader.pack((label, 1.0), key, IMAGES[2])


@pytest.mark.parametrize("span", [(1.25, 1.5), (1.0, 1.5), (float("nan"), 2.0), (1.0, float("inf"))])
def test_a_range_between_two_images_is_none(tmp_path: Path, span: tuple[float, float]) -> None:
    records = {1: face(1), 0: irheader.pack((2, 3), 0), 2: irheader.pack(span, 2)}
    pack = FacePack(written(tmp_path / "pack", records))
    assert pack.labels(lambda done, total: None).tolist() == [0]
    with pytest.raises(DataError, match="identity 0 names images"):
        pack.identity(0)


def test_a_header_that_ends_the_images_too_early(tmp_path: Path) -> None:
    records = {1: face(1), 2: face(2), 0: irheader.pack((2, 4), 0), 3: irheader.pack((1, 3), 3)}
    with pytest.raises(DataError, match="promises 1 images and 2 identities; key 2 is an image too"):
        FacePack(written(tmp_path / "pack", records))


def test_a_header_whose_identities_are_not_there(tmp_path: Path) -> None:
    records = {1: face(1), 0: irheader.pack((2, 4), 0), 2: irheader.pack((1, 2), 2)}
    with pytest.raises(DataError, match="lacks key 3; the header record promises identities 2 to 3"):
        FacePack(written(tmp_path / "pack", records))


def test_a_damaged_identity_is_named_by_who_asks_for_labels(sealed: Path) -> None:
    at = spans(sealed)[5].start
    put(sealed / "train.rec", flipped((sealed / "train.rec").read_bytes(), at + FRAME + HEADER, 0))
    pack = FacePack(sealed)
    assert [pack[index].label for index in range(3)] == [0, 0, 1]
    with pytest.raises(DataError, match=rf"train\.rec key 5 at byte {at} is damaged"):
        pack.labels(lambda done, total: None)


def test_a_length_that_leads_elsewhere_blames_its_own_record(tmp_path: Path) -> None:
    place = written(tmp_path / "pack", {key: irheader.pack(0.0, key, IMAGES[2]) for key in range(1, 4)})
    data, (first, second, third) = (
        (place / "train.rec").read_bytes(),
        (s.start for s in spans(place).values()),
    )
    length = int.from_bytes(data[4:8], "little")
    put(place / "train.rec", data[:4] + (length + 8).to_bytes(4, "little") + data[8:])
    pack = FacePack(place)
    with pytest.raises(DataError, match=f"key 1 at byte {first} is damaged: it ends at byte {second + 8}"):
        pack[0]
    assert bytes(pack[1].image) == IMAGES[2]
    put(place / "train.rec", data[:second] + b"x" + data[second + 1 :])
    pack = FacePack(place)
    assert bytes(pack[0].image) == bytes(pack[2].image) == IMAGES[2]
    with pytest.raises(DataError, match=f"key 2 at byte {second} doesn't begin"):
        pack[1]
    assert RecordFile(place / "train.rec").begins(third)


def test_an_index_that_ends_too_early(tmp_path: Path) -> None:
    place = written(tmp_path / "pack", {key: irheader.pack(0.0, key, IMAGES[2]) for key in range(3)})
    lines = (place / "train.idx").read_bytes().splitlines(keepends=True)
    put(place / "train.idx", b"".join(lines[:2]))
    with pytest.raises(DataError, match=r"key 1 at byte \d+, the last in train.idx, isn't the file's"):
        FacePack(place)


@pytest.mark.parametrize(
    "line", [b"{}", b"\xff", b'{"sizes":[1,2],"first_keys":[],"names":["\xff"],"crcs":[]}']
)
def test_a_damaged_note_of_a_stopped_attempt(tmp_path: Path, line: bytes) -> None:
    stage = tmp_path / ".pack.partial.work"
    stage.mkdir()
    (stage / ".places.jsonl").write_bytes(line + b"\n")
    with (
        pytest.raises(DataError, match=r"\.places\.jsonl is damaged"),
        write_pack(tmp_path / "pack", SIZE, resume="work"),
    ):
        pytest.fail("entered")


def test_checksums_with_names_that_are_no_names(original: Path, tmp_path: Path) -> None:
    checksums = TARGETS["checksums"]
    start = (original / "train.crc").read_bytes()[:-4]
    checksums(start, tmp_path)  # which puts the right checksum behind it
    for name in (b"pr\xffperty", b"../../../", b"property".replace(b"p", b"\x01", 1)):
        with pytest.raises(DataError, match=r"train\.crc is damaged"):
            checksums(start.replace(b"property", name[:8].ljust(8, b"/")), tmp_path)


def test_a_memo_that_is_filled_twice(tmp_path: Path) -> None:
    write_pairs(tmp_path / "set.bin", [b"one", b"two", b"one", b"two"], [True, False])
    data = (tmp_path / "set.bin").read_bytes()
    (tmp_path / "set.bin").write_bytes(data.replace(b"twoq\x02", b"twoq\x01"))
    with pytest.raises(DataError, match=r"BINPUT at byte \d+ stores a second thing in one place"):
        read_pairs(tmp_path / "set.bin")


def test_colours_that_simplejpeg_has_no_name_for() -> None:
    """4:4:1, which turning a picture of 4:1:1 gives; with blocks in the same order, one makes the other."""
    flags = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image = cv2.imencode(".jpg", pixels, flags)[1].tobytes()
    at = image.index(b"\xff\xc0") + 11
    tall = image[:at] + b"\x14" + image[at + 1 :]
    with pytest.raises(KeyError):
        simplejpeg.decode_jpeg_header(tall)
    plain = cv2.imdecode(np.frombuffer(tall, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image[at] == 0x41 and np.array_equal(decode(tall, size=(32, 32), source="x"), plain)
    with pytest.raises(DataError, match="x: these"):
        decode(tall[:-9], size=(32, 32), source="x")


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        ("archives/bad-deflate.zip", "is damaged or no archive: Error -3 while decompressing"),
        ("archives/empty-name.zip", "member '' has"),
        ("archives/long-message.zip", "is damaged or no archive: File name in directory 'x.jpg'"),
        ("property/binary", r"holds '[^']{1,300}', not 'classes,height,width'"),
        ("checksums/name-not-utf-8", r"train\.crc is damaged"),
        ("modelfile/surrogate", "its model card is damaged"),
        ("params/empty-and-huge", "impossible shape"),
        ("images/4-4-1.jpg", "aren't a whole image"),
        ("images/long-chunk.png", "aren't a whole image"),
        ("images/no-header.png", "aren't a whole image"),
        ("images/behind-the-end.png", "aren't a whole image"),
    ],
)
def test_what_fuzzing_found_is_refused(tmp_path: Path, seed: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        TARGETS[seed.partition("/")[0]]((CORPUS / seed).read_bytes(), tmp_path)
    assert caught.value.message.isprintable() and len(caught.value.message) < 500


def test_a_name_that_can_not_be_printed_is_not_among_the_checksums(sealed: Path) -> None:
    kept = read_checksums(sealed)
    assert kept is not None
    for name in (b"\x1b[31mred.bin", b"\xff.bin"):
        put(sealed / os.fsdecode(name), b"x")
    write_checksums(sealed, kept.records.copy())
    again = read_checksums(sealed)
    assert again is not None
    assert again.files == kept.files
