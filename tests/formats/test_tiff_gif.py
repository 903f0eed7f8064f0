"""GIF and TIFF: the first picture, in the right colours, whole or refused with the reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats import tiff, tiffdata
from arcterm.formats.images import MAX_PIXELS, decode, ending
from fuzz.seeds import bombs

RNG = np.random.default_rng(0)
PIXELS = np.kron(RNG.integers(0, 255, (4, 5, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
GREY = PIXELS[:, :, 0].copy()
RGB8 = {256: 40, 257: 32, 258: (8, 8, 8), 259: 1, 262: 2, 277: 3}


def read(data, source="it"):
    return decode(data, size=None, source=source)


def tiff_of(tags, *parts, order="<", tiled=False):
    """A TIFF of one picture: `tags` (a number or numbers each), and strips or tiles of bytes."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    starts = np.cumsum([8, *map(len, parts)]).tolist()
    lengths = [len(part) for part in parts]
    tags = tags | ({324: starts[:-1], 325: lengths} if tiled else {273: starts[:-1], 279: lengths})
    values = {tag: [value] if isinstance(value, int) else list(value) for tag, value in tags.items()}
    directory = starts[-1] + starts[-1] % 2
    after = directory + 2 + 12 * len(values) + 4
    entries, beyond = b"", b""
    for tag, numbers in sorted(values.items()):
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers))
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        entries += packed if len(numbers) == 1 else struct.pack(f"{order}I", after + len(beyond))
        beyond += packed if len(numbers) > 1 else b""
    body = (head + struct.pack(f"{order}I", directory) + b"".join(parts)).ljust(directory, b"\0")
    return body + struct.pack(f"{order}H", len(values)) + entries + bytes(4) + beyond


def gif_of(*pictures, transparent=None):
    """A GIF of one-coloured pictures of 4×3 without compression: a clear code before each pixel."""
    colours = b"".join(bytes(picture) for picture in pictures).ljust(3 * 4, b"\0")
    data = b"GIF89a" + struct.pack("<HHBBB", 4, 3, 0x81, 0, 0) + colours
    for number in range(len(pictures)):
        if transparent is not None:
            data += bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
        codes = [code for _ in range(12) for code in (4, number)] + [5]
        bits = sum(code << (3 * place) for place, code in enumerate(codes))
        packed = bits.to_bytes(-(-3 * len(codes) // 8), "little")
        data += b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 3, 0) + bytes([2, len(packed)]) + packed + b"\0"
    return data + b";"


def test_the_first_picture_of_a_gif():
    red, green = (200, 30, 60), (10, 220, 40)
    for data in (gif_of(red), gif_of(red, green), gif_of(red, green, red)):
        assert ending(data) == ".gif"
        assert (read(data) == np.full((3, 4, 3), red, np.uint8)).all()
    assert (read(gif_of(green, red)) == np.full((3, 4, 3), green, np.uint8)).all()


def test_what_is_transparent_keeps_its_colour():
    assert (read(gif_of((200, 30, 60), transparent=0)) == np.array([200, 30, 60])).all()
    image = np.dstack([PIXELS[:, :, ::-1], np.zeros((32, 40), np.uint8)])
    assert (read(cv2.imencode(".tiff", image)[1].tobytes()) == PIXELS).all()


def test_a_gif_of_opencv():
    data = cv2.imencode(".gif", PIXELS[:, :, ::-1])[1]
    assert (read(data) == cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)).all()


@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 32946])
def test_tiffs_of_opencv(compression):
    flags = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    for image in (PIXELS[:, :, ::-1], GREY, RNG.integers(0, 255, (150, 200, 3), dtype=np.uint8)):
        data = cv2.imencode(".tiff", image, flags)[1].tobytes()
        assert ending(data) == ".tif"
        expected = image[:, :, ::-1] if image.ndim == 3 else np.repeat(image[:, :, None], 3, 2)
        assert (read(data) == expected).all()


def test_sixteen_bits_become_eight():
    data = cv2.imencode(".tiff", PIXELS[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert (read(data) == PIXELS).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_orders_strips_and_tiles(order):
    strips = [PIXELS[at : at + 7].tobytes() for at in range(0, 32, 7)]
    assert (read(tiff_of(RGB8 | {278: 7}, *strips, order=order)) == PIXELS).all()
    wide = np.zeros((32, 48, 3), np.uint8)
    wide[:, :40] = PIXELS
    tiles = [wide[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    for number, pack in ((5, lzw), (8, zlib.compress)):
        tags, packed = RGB8 | {259: number, 322: 16, 323: 16}, [pack(tile) for tile in tiles]
        assert (read(tiff_of(tags, *packed, order=order, tiled=True)) == PIXELS).all()
        with pytest.raises(DataError, match="parts of the picture are missing"):
            read(tiff_of(tags, *packed[:-1], order=order, tiled=True))
    with pytest.raises(DataError, match="its tiles aren't compressed"):
        read(tiff_of(RGB8 | {322: 16, 323: 16}, *tiles, order=order, tiled=True))


def test_cmyk_and_a_palette_are_converted():
    cmyk = np.dstack([255 - PIXELS, np.zeros((32, 40), np.uint8)])
    data = tiff_of(RGB8 | {258: (8,) * 4, 262: 5, 277: 4}, cmyk.tobytes())
    assert (read(data) == PIXELS).all()
    table = RNG.integers(0, 255, (256, 3), dtype=np.uint8)
    data = tiff_of(
        {256: 40, 257: 32, 258: 8, 259: 1, 262: 3, 277: 1, 320: (table.T.astype(int) * 257).ravel().tolist()},
        GREY.tobytes(),
    )
    data = data.replace(struct.pack("<HHI", 320, 4, 768), struct.pack("<HHI", 320, 3, 768))
    at = data.index(struct.pack("<HHI", 320, 3, 768)) + 8
    start = struct.unpack_from("<I", data, at)[0]
    packed = np.frombuffer(data, "<u4", 768, start).astype("<u2").tobytes()
    data = data[:start] + packed + data[start + len(packed) :]
    assert (read(data) == table[GREY]).all()


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({339: (3, 3, 3), 258: (32,) * 3}, "its numbers are floats: save it as 8 bits"),
        ({339: (2, 2, 2)}, "its numbers are signed"),
        ({258: (32, 32, 32)}, "it has 32 bits a channel"),
        ({258: (5, 6, 5)}, "it has 6 bits a channel"),
        ({262: 8}, "its colours are CIELAB"),
        ({262: 6}, "its colours are YCbCr without JPEG"),
        ({262: 99}, "its colours are of kind 99"),
        ({259: 4}, r"compressed in a way that isn't read \(4\)"),
        ({259: 50000}, r"isn't read \(50000\)"),
        ({277: 9}, "9 channels of 8 bits"),
        ({256: 0}, "no height or no width"),
        ({257: 33}, "its data ends early"),
        ({278: 8}, "parts of the picture are missing"),
        ({322: 60000, 323: 60000}, "a tile of it declares 3,600,000,000 pixels"),
    ],
)
def test_kinds_that_are_refused_in_words(tags, words, capfd):
    with pytest.raises(DataError, match=f"it: the TIFF can't be read: .*{words}"):
        read(tiff_of(RGB8 | tags, PIXELS.tobytes()))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", [1, 5, 7, 8, 32773])
def test_a_tiff_that_lacks_data_is_refused(compression, capfd):
    """OpenCV takes it, and leaves the rest of the picture black."""
    flags = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 32]
    data = cv2.imencode(".tiff", PIXELS[:, :, ::-1], flags)[1].tobytes()
    for stop in range(0, len(data) - 1, 7):
        with pytest.raises(DataError):
            read(data[:stop])
    parts = PIXELS.tobytes()
    packed = {1: parts, 5: lzw(parts), 7: data, 8: zlib.compress(parts), 32773: packbits(parts)}[compression]
    if compression != 7:
        assert (read(tiff_of(RGB8 | {259: compression}, packed)) == PIXELS).all()
    half = tiff_of(RGB8 | {259: compression}, packed[: len(packed) // 2])
    assert compression == 1 or cv2.imdecode(np.frombuffer(half, np.uint8), 1) is not None or compression == 7
    with pytest.raises(DataError, match="its data ends early"):
        read(half)
    assert capfd.readouterr() == ("", "")


def lzw(data):
    """TIFF's LZW, with a clear code whenever the table is full."""
    bits, count, table, width = 0, 0, {}, 9
    codes = [(256, 9)]
    string = b""
    for byte in data:
        longer = string + bytes([byte])
        if len(longer) == 1 or longer in table:
            string = longer
            continue
        codes.append((table.get(string, string[0]), width))
        table[longer] = 258 + len(table)
        width = (258 + len(table)).bit_length()
        if len(table) + 258 == 4095:
            codes.append((256, width))
            table, width = {}, 9
        string = bytes([byte])
    codes.append((table.get(string, string[0]), width))
    codes.append((257, (259 + len(table)).bit_length()))
    for code, width in codes:
        bits, count = bits << width | code, count + width
    return (bits << -count % 8).to_bytes(-(-count // 8), "big")


def packbits(data):
    return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))


@pytest.mark.parametrize("size", [1, 250, 254, 300, 5000, 9000])
def test_lengths_of_packed_data(size):
    for data in (RNG.integers(0, 256, size, dtype=np.uint8).tobytes(), bytes(size), b"abc" * (size // 3 + 1)):
        for number, packed in ((5, lzw(data)), (8, zlib.compress(data)), (32773, packbits(data))):
            assert tiffdata.is_whole(number, packed, len(data))
            assert not tiffdata.is_whole(number, packed, len(data) + 1)
            assert not tiffdata.is_whole(number, packed[: len(packed) // 3], len(data))


def test_tables_that_are_always_cleared_are_refused_at_once():
    assert not tiffdata.is_whole(5, b"\x80\x40\x20\x10\x08\x04\x02\x01\x00" * 30_000, 10**9)


def test_a_gif_that_is_cut_or_leaves_its_picture_is_refused(capfd):
    data = gif_of((200, 30, 60), (1, 2, 3))
    for stop in range(6, len(data)):
        with pytest.raises(DataError, match="the GIF can't be read: it ends early"):
            read(data[:stop])
    for at, words in ((data.index(b"\x2c") + 1, "not within 4×3"), (data.index(b"\x2c"), "begins no block")):
        broken = bytearray(data)
        broken[at] = 7
        with pytest.raises(DataError, match=words):
            read(bytes(broken))
    short = bytearray(gif_of((200, 30, 60)))
    at = short.index(b"\x2c") + 11
    short[at + 1 : at + 1 + short[at]] = b"\x04"
    short[at] = 1
    with pytest.raises(DataError, match="aren't a whole image"):
        read(bytes(short))
    with pytest.raises(DataError, match="there is no picture"):
        read(b"GIF89a\4\0\3\0\0\0\0;")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["bomb.gif", "bomb.tif"])
def test_small_files_of_many_pixels_are_refused_before_they_are_decoded(name, monkeypatch):
    bomb = dict(bombs(65500))[name]
    monkeypatch.setattr(cv2, "imdecode", None)
    assert len(bomb) < 1000
    with pytest.raises(DataError, match=f"declares 65500×65500, more than {MAX_PIXELS:,} pixels"):
        read(bomb)


def test_a_directory_beyond_all_places_is_refused():
    for start in (1 << 40, (1 << 64) - 1):
        with pytest.raises(DataError, match="it ends early"):
            read(b"II+\0\x08\0\0\0" + start.to_bytes(8, "little"))


def test_endless_and_overlapping_parts_are_refused():
    data = tiff_of(RGB8 | {278: 1}, *[PIXELS.tobytes()[:120]] * 32)
    at = data.index(struct.pack("<I", 120) * 32)
    data = data[:at] + struct.pack("<I", 3000) * 32 + data[at + 128 :]
    with pytest.raises(ValueError, match="larger than the file"):
        tiff.read_first(data, MAX_PIXELS)


def test_a_folder_of_gif_and_tiff(tmp_path: Path):
    from arcterm.formats.people import find_people

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.gif").write_bytes(gif_of((200, 30, 60)))
    (tmp_path / "a" / "2.TIFF").write_bytes(tiff_of(RGB8, PIXELS.tobytes()))
    (tmp_path / "a" / "3.tif").write_bytes(tiff_of(RGB8, PIXELS.tobytes()))
    assert [path.name for path in find_people(tmp_path).people[0].images] == ["1.gif", "2.TIFF", "3.tif"]
