"""Writes the corpus, ``fuzz/corpus/TARGET/*``: small files of each kind by our own writers, and hostile ones.

``python -m fuzz.seeds``; what else lies in the corpus, once found by fuzzing, stays.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from arcterm.formats.features.matrix import pack_feature, pack_matrices
from arcterm.formats.modelfile import ModelFacts, metadata
from arcterm.formats.mxnet import params
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.protobuf import field_bytes
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import MAGIC_BYTES, RecordWriter, framed
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.formats.trainlogs.eventfiles import _crc32c, _masked
from arcterm.runs import events
from fuzz.targets import PACK_FILES, pack_of

CORPUS = Path(__file__).parent / "corpus"
Seeds = Iterator[tuple[str, bytes]]


def picture(kind: str, grey: bool = False, side: int = 8) -> bytes:
    """A small image of noise in a format of OpenCV's, by the ending of its name."""
    shape = (side, side) if grey else (side, side, 3)
    pixels = np.random.default_rng(side).integers(0, 256, shape, np.uint8)
    flags = [cv2.IMWRITE_JPEG_OPTIMIZE, 1] if kind == ".jpg" else []
    return cv2.imencode(kind, pixels, flags)[1].tobytes()


def tiff(pixels: NDArray[np.uint8], compression: int) -> bytes:
    """A TIFF by OpenCV: 1 is none, 5 LZW, 7 JPEG, 8 deflate, 32773 PackBits."""
    return cv2.imencode(".tif", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1].tobytes()


def recordio() -> Seeds:
    """Records whole, split and empty."""
    payloads = (b"", b"abcde", b"abcd" + MAGIC_BYTES + b"efgh", MAGIC_BYTES * 2, b"abc" + MAGIC_BYTES)
    yield "several", b"".join(framed(payload) for payload in payloads)
    yield "one", framed(irheader.pack((1.0, 1.0), 1, b"JPEG"))


def recordindex() -> Seeds:
    """Lines in several orders."""
    yield "ordered", b"".join(b"%d\t%d\n" % (key, key * 48) for key in range(12))
    yield "header-last", b"1\t0\r\n2\t48\r\n0\t96\r\n3\t144"


def irheader_() -> Seeds:
    """One label, several, and more than there is room for."""
    yield "one", irheader.pack(3.0, 7, b"image")
    yield "two", irheader.pack((3.0, 1.0), 7, b"image")
    yield "promises", irheader.HEADER.pack(2**31, 0.0, 1, 0)


def facepack() -> Seeds:
    """A pack of two people with and without checksums, and one of im2rec's."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pack"
        with write_pack(place, (8, 8)) as writer:
            for label in (0, 0, 1):
                writer.add(picture(".jpg", grey=True), label, f"person {label}")
        files = {name: (place / name).read_bytes() for name in PACK_FILES}
        yield "sealed", pack_of(files)
        yield "unsealed", pack_of({**files, "train.crc": b""})
        with RecordWriter(place / "train.rec", place / "train.idx") as records:
            for key in range(3):
                records.write(key, irheader.pack(float(key), key, picture(".jpg", grey=True)))
        yield "im2rec", pack_of({name: (place / name).read_bytes() for name in PACK_FILES[:2]})


def property_() -> Seeds:
    """Three numbers."""
    yield "released", b"85742,112,112"
    yield "spaced", b"85742, 112, 112\r\n"


def checksums() -> Seeds:
    """What `write_pack` wrote, with and without its last four bytes, which the target puts there."""
    with tempfile.TemporaryDirectory() as folder:
        with write_pack(Path(folder) / "pack", (8, 8)) as writer:
            writer.add(picture(".jpg", grey=True), 0, "somebody")
        data = (Path(folder) / "pack" / "train.crc").read_bytes()
    yield "whole", data
    yield "open", data[:-4]


def pairs() -> Seeds:
    """Python 2's pickles, and arrays, byte strings and flags at every protocol of Python 3."""
    image = picture(".jpg", grey=True)
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder) / "set.bin", [image, b"x" * 300, image, image], [True, False])
        yield "python2", (Path(folder) / "set.bin").read_bytes()
    array = np.frombuffer(image, np.uint8)
    for protocol in range(6):
        yield f"arrays{protocol}", pickle.dumps(([array.reshape(-1, 1), array.copy()], [True]), protocol)
        yield f"bytes{protocol}", pickle.dumps(([image, image], [False]), protocol)
        held = [bytearray(image), np.bytes_(image)], np.array([True])
        yield f"others{protocol}", pickle.dumps(held, protocol)
    yield "objects", pickle.dumps((np.array([image, None])[:1].repeat(2), [np.int64(1)]), 5)
    yield "strings", pickle.dumps((np.array([image, image]), (np.bool_(False),)), 5)
    yield "pixels", pickle.dumps((np.zeros((2, 3, 4, 3), np.uint8), np.array([1.0])), 5)
    yield "text2", b"((lS'\\xff\\xd8\\xff'\np1\nag1\na(lI01\na" + b"t."
    yield "instance", b"(S'true'\nios\nsystem\n."
    yield "runs", b"cos\nsystem\n(S'true'\ntR."
    yield "memo-bomb", b"\x80\x02]q\x00" + b"h\x00a" * 40 + b"]\x88a\x86."


def lists() -> Seeds:
    """Both shapes, with boxes and landmarks, and names that aren't plain."""
    marks = "1 2 30 40 30.5 60 45 33 62 40 40 60.25 80 81".replace(" ", "\t")
    yield "of-2018", f"1\ta/1.jpg\t0\n0\tb/2.jpg\t1\t{marks}\n0\tc.jpg\t2\t1\t2\t30\t40\n".encode()
    yield "im2rec", b"0\t0.000000\ta/1.jpg\n1\t17\tb.jpg\r\n\r\n"
    yield "control", b"1\ta\x1b[2J.jpg\t0\n"
    yield "utf-8", "1\t../Ä/\u202e.jpg\t3\n".encode()


def pairlists() -> Seeds:
    """The shapes of LFW's list, and paths with a flag."""
    yield "lfw", b"1\t1\nA_B\t1\t4\nA_B\t3\tC_D\t1\n"
    yield "folds", b"2\t1\nA\t1\t2\nA\t1\tB\t2\nB\t1\t2\nB\t1\tA\t2\n"
    yield "paths", b"a/1.jpg b/1.jpg 0\r\na/1.jpg a/2.jpg 1\r\n"
    yield "table", b"\xef\xbb\xbfname,imagenum1,imagenum2,\nA,1,2,\nB,1,3\n"
    yield "leaves", b"../../etc/passwd /etc/shadow 1\n"
    yield "halves", b"A_0001.jpg 3\nA_0002.jpg 3\nA_0001.jpg 0\nB C_0001.jpg 0\n"
    yield "groups", b"name\tn1\tn2\trace\nA\t1\t2\tx\nA\t1\tB\t2\ty\n"
    yield "windows", b"C:\\d\\a.jpg;/home/b.jpg;True\nC:\\d\\a.jpg;/home/c.jpg;False\n"


def protocol() -> Seeds:
    """Two folds of AgeDB's protocol, as MATLAB writes it and without compression."""
    folds = np.empty((2, 1), object)
    for fold in range(2):
        images = np.empty((2, 2), object)
        for place in np.ndindex(2, 2):
            images[place] = {"name": f"{fold}_A_{place[0]}_m", "age": 30.0}
        folds[fold, 0] = {"pairs": images, "labels": np.array([[1.0, -1.0]])}
    for name, packed in (("plain", False), ("packed", True)):
        file = io.BytesIO()
        savemat(file, {"splits": folds}, do_compression=packed)
        yield name, b"MATLAB 5.0".ljust(116) + file.getvalue()[116:]


def tinyface() -> Seeds:
    """TinyFace's lists in one file, with names in cells, in cells within them, and of a wrong identity."""
    for name, probe, person in (
        ("plain", "1_1.jpg", 1.0),
        ("nested", [["1_1.jpg"]], 1.0),
        ("other", "1_1.jpg", 2.0),
    ):
        lists = {
            "probe_set": cells(probe), "probe_ids": np.array([[person]]),
            "gallery_set": cells("1_2.png"), "gallery_ids": np.array([[1]], np.uint16),
        }  # fmt: skip
        file = io.BytesIO()
        savemat(file, lists, do_compression=name == "nested")
        yield name, b"MATLAB 5.0".ljust(116) + file.getvalue()[116:]


def cells(item: object) -> NDArray[np.object_]:
    """A cell that holds `item`, a text or a list of lists that are cells."""
    cell = np.empty((1, 1), object)
    cell[0, 0] = cells(item[0][0]) if isinstance(item, list) else item
    return cell


def images() -> Seeds:
    """Every format that a folder of people may have, and headers that declare 65,500 × 65,500."""
    for kind in (".jpg", ".png", ".bmp", ".ppm", ".webp", ".gif", ".tif"):
        yield f"colour{kind}", picture(kind)
    for number in (1, 5, 7, 8, 32773):
        yield f"packed{number}.tif", tiff(np.full((8, 8, 3), 7, np.uint8), number)
    yield "two.gif", (one := picture(".gif"))[:-1] + one[one.index(b"\x2c\0\0\0\0") :]
    for kind in (".jpg", ".png", ".pgm"):
        yield f"grey{kind}", picture(kind, grey=True)
    yield "other.gif", b"GIF89a" + bytes(40)  # which isn't read
    progressive = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    yield "progressive.jpg", progressive.tobytes()
    yield from bombs(65500)


def bombs(side: int) -> Seeds:
    """Small files that declare `side` × `side` pixels, of each kind that is read."""
    jpeg = picture(".jpg")
    at = jpeg.index(b"\xff\xc0") + 5
    yield "bomb.jpg", jpeg[:at] + struct.pack(">HH", side, side) + jpeg[at + 4 :]
    png = picture(".png")
    ihdr = b"IHDR" + struct.pack(">II", side, side) + png[24:29]
    yield "bomb.png", png[:12] + ihdr + zlib.crc32(ihdr).to_bytes(4, "big") + png[33:]
    bmp = picture(".bmp")
    yield "bomb.bmp", bmp[:18] + struct.pack("<ii", side, side) + bmp[26:]
    yield "bomb.ppm", b"P6\n%d %d\n255\n" % (side, side) + b"pixels"
    yield "bomb.pgm", b"P5\n%d %d\n255\n" % (side, side) + b"pixels"
    small = min(side, 1 << 14) - 1  # all that fourteen bits can say
    vp8l = b"VP8L" + struct.pack("<IBI", 20, 0x2F, small | small << 14) + bytes(15)
    yield "bomb.webp", b"RIFF" + struct.pack("<I", 4 + len(vp8l)) + b"WEBP" + vp8l
    gif = picture(".gif")
    frame, sides = gif.index(b"\x2c\0\0\0\0"), struct.pack("<HH", side, side)
    yield "bomb.gif", gif[:6] + sides + gif[10 : frame + 5] + sides + gif[frame + 9 :]
    tags = ((256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 8))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    yield "bomb.tif", b"II*\0" + struct.pack("<IQH", 16, 0, len(tags)) + entries + bytes(4)


def archives() -> Seeds:
    """Of every kind, with names that lead elsewhere, links, and content that swells."""
    plain = _tar(("a/1.jpg", b"one"), ("a/b.lst", b"1\t1.jpg\t0\n"), ("readme", b"x"))
    yield "plain.tar", plain[:2560]
    yield "plain.tgz", gzip.compress(plain, mtime=0)
    yield "plain.bz2", bz2.compress(plain)
    yield "plain.xz", lzma.compress(plain)
    yield "up.tgz", gzip.compress(_tar(("../x.jpg", b"x")), mtime=0)
    link = tarfile.TarInfo("x.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    yield "link.tgz", gzip.compress(link.tobuf() + bytes(1024), mtime=0)
    yield "plain.zip", _zip({"a/1.jpg": b"one", "b.lst": b"1\ta/1.jpg\t0\n"})
    yield "up.zip", _zip({"../x.jpg": b"x", "/etc/x.jpg": b"x", "a\x1b.jpg": b"x"})
    yield "swells.zip", _zip({"x.jpg": bytes(1 << 20)})


def _tar(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def params_() -> Seeds:
    """What `params.write` writes, and the versions that it doesn't."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m-0000.params"
        params.write(path, {"arg:fc1_weight": np.ones((2, 3), np.float32), "aux:bn_moving_mean": np.zeros(2)})
        yield "v2", path.read_bytes()
    for name, shape in {
        "v0": struct.pack("<III", 2, 1, 2),
        "v1": struct.pack("<IIqq", 0xF993FAC8, 2, 1, 2),
        "v3": struct.pack("<Iiiqq", 0xF993FACA, 0, 2, 1, 2),
    }.items():
        values = struct.pack("<iii2f", 1, 0, 0, 1.5, 2.5)
        yield name, struct.pack("<QQQ", 0x112, 0, 1) + shape + values + struct.pack("<QQ", 1, 1) + b"w"


def symbol_() -> Seeds:
    """A small network in the words of three versions."""
    for version, key in {"1.0": "attrs", "0.9": "attr", "0.8": "param"}.items():
        nodes = [
            {"op": "null", "name": "data", "inputs": []},
            {"op": "_minus_scalar", "name": "a", key: {"scalar": "127.5"}, "inputs": [[0, 0, 0]]},
            {"op": "_mul_scalar", "name": "b", key: {"scalar": "0.0078125"}, "inputs": [[1, 0, 0]]},
            {"op": "null", "name": "conv0_weight", "inputs": []},
            {
                "op": "Convolution",
                "name": "conv0",
                key: {"kernel": "(3, 3)", "no_bias": "True", "num_filter": "4L"},
                "inputs": [[2, 0, 0], [3, 0, 0]],
            },
            {"op": "null", "name": "fc1_weight", "inputs": []},
            {"op": "FullyConnected", "name": "fc1", key: {"no_bias": "True"}, "inputs": [[4, 0], [5, 0]]},
        ]
        yield version, json.dumps({"nodes": nodes, "heads": [[6, 0, 0]]}).encode()


def modelfile() -> Seeds:
    """A header with a card."""
    card = metadata(ModelFacts(backbone="tiny", embedding_size=4, recipe={"lr": 0.1}))
    header = json.dumps({"__metadata__": card, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    yield "card", struct.pack("<Q", len(header)) + header.encode() + bytes(4)
    surrogate = json.dumps({"__metadata__": {"arcterm": "\ud800"}})
    yield "surrogate", struct.pack("<Q", len(surrogate)) + surrogate.encode()


def onnxfile() -> Seeds:
    """A graph of one node with its weights inside, outside, and in a graph within a node."""
    entry = field_bytes(2, field_bytes(1, b"\x08\x01" + field_bytes(2, field_bytes(1, b"\x08\x03"))))
    ends = b"".join(field_bytes(n, field_bytes(1, b"xy"[n - 11 : n - 10]) + entry) for n in (11, 12))
    node = b"".join(field_bytes(n, text) for n, text in ((1, b"x"), (1, b"w"), (2, b"y"), (4, b"Mul")))
    outside = field_bytes(13, field_bytes(1, b"location") + field_bytes(2, b"../w"))
    card = metadata(ModelFacts(backbone="tiny", embedding_size=4))["arcterm"].encode()
    for name, weight in {
        "inside": field_bytes(5, b"\x08\x01\x10\x01" + field_bytes(8, b"w") + field_bytes(9, bytes(4))),
        "outside": field_bytes(5, b"\x08\x01" + field_bytes(8, b"w") + outside),
        "deep": field_bytes(1, field_bytes(5, field_bytes(6, field_bytes(5, outside)))),
    }.items():
        graph = field_bytes(7, field_bytes(1, node) + weight + ends)
        yield name, b"\x08\x08" + graph + field_bytes(14, field_bytes(1, b"arcterm") + field_bytes(2, card))
    nested = b""
    for _ in range(40):
        nested = field_bytes(1, field_bytes(5, field_bytes(6, nested)))
    yield "deepest", b"\x08\x08" + field_bytes(7, nested)


def events_() -> Seeds:
    """Lines as a run writes them, and without their checksum, which the target adds."""
    for event in (
        events.Phase(t=1.0, phase="train", detail="x", done=1, total=2),
        events.Gpus(t=1.0, host="h", gpus=[events.Gpu(index=0, name="H200", temperature=40.0)]),
        events.Message(t=1.0, level="warning", text="\x1b[2J"),
        events.End(t=1.0, reason="done", step=3),
    ):
        line = events.encode(event)
        yield type(event).__name__.lower(), line
        yield f"{type(event).__name__.lower()}-open", line.partition(b',"crc":')[0]


def labelnames() -> Seeds:
    """Two names for two classes, and for three."""
    yield "fits", b"\x02one\ntwo\n"
    yield "too-few", b"\x03one\n\xfftwo"


def guides() -> Seeds:
    """A list of boxes with its heading, and landmarks after a zero byte."""
    yield "boxes", b"name\timage_id\tface_id\turl\tbbox\np\t9\t1\thttp://h\t1,2,30,40\tff\n"
    box = b'"bounding_box":{"x":1,"y":2.5,"width":30,"height":40}'
    marks = b",".join(b'"%d":{"x":%d,"y":3}' % (n, n) for n in range(3))
    yield "landmarks", b"\0{" + box + b',"landmarks":{' + marks + b"}}"
    yield "box", b"\0{" + box + b"}"


def arrays() -> Seeds:
    """Two layers as numpy saves them, and as protocol 2 has them, by columns."""
    layers = {
        "conv1": {"weights": np.ones((1, 2, 1, 2), np.float32)},
        "PReLU1": {"alpha": np.zeros(2, np.float32)},
    }
    stream = io.BytesIO()
    np.save(stream, np.array(layers, object), allow_pickle=True)
    yield "saved", stream.getvalue()
    layers["conv1"]["weights"] = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    header = stream.getvalue()[: stream.getvalue().index(b"\n") + 1]
    yield "protocol2", header + pickle.dumps(np.array(layers, object), protocol=2)


def ijbfaces() -> Seeds:
    """Images of two templates, and lines that do not match or lead out of the folder."""
    marks = b"40.000 60.000 90.000 58.000 66.000 82.000 45.000 105.000 88.000 103.000 0.998"
    yield "two", b"1.jpg 1 50012\n2.jpg 4711 8\n\0" + b"1.jpg %s\r\n2.jpg %s" % (marks, marks)
    yield "differs", b"1.jpg 1 50012\n\0" + b"2.jpg %s\n" % marks
    yield "outside", b"../1.jpg 1 50012\n/2.jpg -1 2\n\0" + b"a/../../1.jpg 1e99 nan\n"


def ijbpairs() -> Seeds:
    """Plain lines, lines in other dress, and labels that are none."""
    yield "plain", b"1 4711 1\n1 4712 0\n"
    yield "tabs", b" 1\t4711 1\r\n999999999 0 0"
    yield "labels", b"1 2 2\n1 2\n1234567890 1 1\n"


def ijbsubjects() -> Seeds:
    """A header and rows, and a template of two subjects."""
    yield "rows", b"TEMPLATE_ID,SUBJECT_ID,FILENAME\n17,203,img/5.png\n17,203,img/6.png\n"
    yield "two-subjects", b'TEMPLATE_ID,SUBJECT_ID\n"17",203\n17,204\nx\n'


def matrices() -> Seeds:
    """A feature, several matrices, padded rows, and a header that promises."""
    yield "feature", pack_feature(np.arange(4, dtype=np.float32))
    yield (
        "several",
        pack_matrices([np.ones((1, 3), np.float32), np.ones((2, 2)), np.ones((3, 1), np.float32)]),
    )
    yield "padded", struct.pack("<4i", 2, 1, 8, 5) + bytes(16)
    yield "promises", struct.pack("<4i", 2**31 - 1, 1, 4, 5)


def pathlists() -> Seeds:
    """The devkit's JSON, and lines of each kind."""
    yield "probes", b'{"path": ["A_B/A_B_1.png", "C/C_2.png"], "id": ["A_B", 2]}'
    yield "distractors", b'{"path": ["278/27809140@N00/2526954590_4.jpg"]}'
    yield "lines", b"# comment\r\nA_B/A_B_1.png\r\n\n/abs/C/C_2.png"
    yield "of-2018", b"1\t/data/a/1.png\t17\n0\tb/2.png\t1\t3\t4\t50\t60\n5\t2.0\tc/3.png\n"
    yield "up", b"a/../../b.png\n"


def noises() -> Seeds:
    """Bare names, and paths with tabs."""
    yield "facescrub", b"#comment\nAaron_Eckhart_136.png\nAaron_Eckhart_221.png\r\n"
    yield "megaface", b"#comment\n375/37531198@N00/4174611825_0.jpg\n1\t925/92596048@N00/3910487430_2.jpg\n"


def features() -> Seeds:
    """A .npy of rows, one by column, and one of another type."""
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    for name, array in (
        ("rows", rows),
        ("columns", np.asfortranarray(rows)),
        ("doubles", rows.astype(float)),
    ):
        np.save(file := io.BytesIO(), array)
        yield name, file.getvalue()


def results() -> Seeds:
    """A result of the devkit, without the third curve, and falling."""
    roc = b'"roc": [[0.0, 9e-7, 4e-6, 1.0], [0.5, 0.7, 0.8, 1.0]]'
    yield "whole", b'{"cmc": [[0, 9], [0.9, 1.0]], ' + roc + b', "traditional_cmc": [[0, 9], [0.9, 1]]}'
    yield "two", b'{"cmc": [[0, 9], [0.9, 1.0]], ' + roc + b"}"
    yield "falling", b'{"cmc": [[0, 9], [1.0, 0.9]], ' + roc + b"}"


def trainlogs() -> Seeds:
    """Logs of MXNet and arcface_torch, and an event file of TensorBoard."""
    batch = "INFO:root:Epoch[0] Batch [%d]\tSpeed: 990.78 samples/sec\tacc=0.002976\tlossvalue=nan\n"
    score = "[lfw][1000]XNorm: 11.311400\n[lfw][1000]Accuracy-Flip: 0.98600+-0.00429\n"
    begin = (
        "gpu num: 4\nCalled with argument: Namespace(batch_size=512, data_dir='/d', loss_type=4, lr=0.1, "
        "margin_m=0.5, network='y1')\n(12000L, 3L, 112L, 112L)\nver lfw\nlr_steps [100, 140]\n"
    )
    steps = "".join(batch % number for number in (20, 40))
    anchor = "lr-batch-epoch: 0.1 999 0\ninfer time 5.96\n"
    mxnet = begin + steps + anchor + score + "lr change to 0.01\n"
    yield "mxnet", (mxnet + mxnet).encode()
    yield "dated", "".join(f"[2018-05-05 08:04:33]  {line}\n" for line in mxnet.splitlines()).encode()
    at = "Training: 2022-03-01 10:00:00,000-"
    settings = f"{at}: network                  r50\n{at}: margin_list              (1.0, 0.0, 0.4)\n"
    step = "Speed 2014.50 samples/sec   Loss 40.1234   LearningRate 0.0200   Epoch: 0   Global Step: %d   "
    lines = "".join(f"{at}{step % number}Required: 5 hours\n" for number in (50, 100))
    yield "arcface", (settings + lines + score + settings + lines.replace("Step: 50", "Step: 75")).encode()
    scalar = b"".join(
        field_bytes(5, field_bytes(1, field_bytes(1, tag) + b"\x15" + struct.pack("<f", value)))
        for tag, value in ((b"loss", 2.5), (b"learning_rate", 0.1), (b"lfw", 0.9), (b"other", 1.0))
    )
    yield (
        "scalars",
        b"".join(
            _tensorboard(b"\x09" + struct.pack("<d", 1e9) + b"\x10" + bytes([number]) + scalar)
            for number in (1, 2)
        ),
    )
    yield (
        "rewound",
        _tensorboard(b"\x10\x02" + scalar) + _tensorboard(b"\x10\x02" + field_bytes(7, b"\x08\x01")),
    )


def _tensorboard(event: bytes) -> bytes:
    """A record of an event file; its own checksum is not looked at."""
    head = struct.pack("<Q", len(event))
    return head + struct.pack("<I", _masked(_crc32c(head))) + event + bytes(4)


SEEDS = {
    "recordio": recordio,
    "recordindex": recordindex,
    "irheader": irheader_,
    "facepack": facepack,
    "property": property_,
    "checksums": checksums,
    "pairs": pairs,
    "lists": lists,
    "pairlists": pairlists,
    "protocol": protocol,
    "tinyface": tinyface,
    "images": images,
    "archives": archives,
    "params": params_,
    "symbol": symbol_,
    "modelfile": modelfile,
    "onnxfile": onnxfile,
    "events": events_,
    "labelnames": labelnames,
    "guides": guides,
    "arrays": arrays,
    "ijbfaces": ijbfaces,
    "ijbpairs": ijbpairs,
    "ijbsubjects": ijbsubjects,
    "matrices": matrices,
    "pathlists": pathlists,
    "noises": noises,
    "features": features,
    "results": results,
    "trainlogs": trainlogs,
}


def main() -> None:
    """Write every seed."""
    for target, seeds in SEEDS.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (CORPUS / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
