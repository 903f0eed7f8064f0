"""One function a parser: given any bytes and an empty folder to work in, it reads them as a file of its kind.

Whatever the bytes, it returns or raises `DataError`; an AssertionError here means that the parser gave what
its docstring excludes. A target whose file ends in a checksum also tries the bytes with a right one, since no
mutation would find it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from arcterm.align.guides import FaceScrub, MegaFace
from arcterm.data.make.archives import FLOOR, MAX_RATIO, unpack
from arcterm.errors import DataError
from arcterm.formats import images, npydict, onnxfile
from arcterm.formats.features import matrix
from arcterm.formats.features.lists import read_path_list
from arcterm.formats.features.noises import read_facescrub_noises, read_megaface_noises
from arcterm.formats.features.npyrows import map_rows
from arcterm.formats.features.results import read_result
from arcterm.formats.ijb import faces, subjects
from arcterm.formats.ijb.pairs import read_pairs as read_template_pairs
from arcterm.formats.ijb.problems import Problems
from arcterm.formats.labelnames import read_names
from arcterm.formats.lists import read_list
from arcterm.formats.modelfile import read_facts
from arcterm.formats.mxnet import params, symbol
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.formats.pairs.pairlists import read_pair_list
from arcterm.formats.pairs.protocols import read_protocol
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.checksums import read_checksums
from arcterm.formats.recordio.container import RecordFile
from arcterm.formats.recordio.facepack import FacePack, read_property
from arcterm.formats.recordio.recordindex import read_index
from arcterm.formats.tinyface import SUBSETS, read_tinyface
from arcterm.formats.trainlogs import eventfiles, textlog
from arcterm.formats.trainlogs.parts import split
from arcterm.launch.importing.settings import settings_of
from arcterm.progress import unheard
from arcterm.runs import events

Target = Callable[[bytes, Path], None]

PACK_FILES = ("train.rec", "train.idx", "property", "train.crc", "labels.txt")


def recordio(data: bytes, place: Path) -> None:
    """A RecordIO file without an index, then records at places that are none."""
    records = RecordFile(_file(place / "train.rec", data))
    try:
        for offset, payload in records.scan():
            assert records.at(offset) == payload
            assert len(records.span(offset)) >= len(payload) + 8
    finally:
        for offset in (-4, 1, len(data) - 8, len(data)):
            with suppress(DataError):
                records.at(offset)


def recordindex(data: bytes, place: Path) -> None:
    """The index of a record file of 1 MiB."""
    index = read_index(_file(place / "train.idx", data), 1 << 20)
    keys = [int(key) for key in index.keys]
    assert keys == sorted(set(keys))
    assert all(0 <= index.offset(key) < 1 << 20 for key in keys)
    with suppress(DataError):
        index.dense(1, len(index))


def irheader_(data: bytes, _: Path) -> None:
    """An image record's payload."""
    record = irheader.unpack(memoryview(data), "key 1")
    assert len(record.labels) == max(record.flag, 1)


def facepack(data: bytes, place: Path) -> None:
    """A pack of five files, see `pack_of`: opened, its labels, identities, images and pixels."""
    for name, content in zip(PACK_FILES, _parts(data), strict=True):
        if content:
            _file(place / name, content)
    pack = FacePack(place)
    with suppress(DataError):
        assert ((labels := pack.labels(lambda done, total: None)) < pack.classes).all() and (
            labels >= 0
        ).all()
    read_names(place, pack.classes)
    for number in range(min(pack.identities, 8)):
        with suppress(DataError):
            assert pack.identity(number).stop <= len(pack)
    for index in range(min(len(pack), 8)):
        with suppress(DataError):
            record = pack[index]
            assert 0 <= record.label < pack.classes
            images.decode(record.image, size=pack.image_size, source=record.source)


def property_(data: bytes, place: Path) -> None:
    """``property``."""
    classes, (height, width) = read_property(_file(place / "property", data))
    assert classes > 0 and height > 0 and width > 0


def checksums(data: bytes, place: Path) -> None:
    """``train.crc``."""
    with suppress(DataError):
        read_checksums(_file(place / "train.crc", data).parent)
    found = read_checksums(_file(place / "train.crc", data + zlib.crc32(data).to_bytes(4, "little")).parent)
    assert found is not None
    for name in found.files:
        with suppress(DataError):
            found.check_file(name)


def pairs(data: bytes, place: Path) -> None:
    """A verification ``.bin``."""
    found = read_pairs(_file(place / "set.bin", data))
    assert len(found.images) == 2 * len(found.same)
    for image in found.images[:8]:
        with suppress(DataError):
            images.decode(image, size=None, source="set.bin")


def lists(data: bytes, place: Path) -> None:
    """A ``.lst``."""
    found = read_list(_file(place / "list.lst", data))
    for index, item in enumerate(found):
        assert (item.label, item.aligned) == (found.labels[index], found.aligned[index])
        assert item.path.is_absolute() or ".." not in item.path.parts or b".." in data


def pairlists(data: bytes, place: Path) -> None:
    """A list of pairs."""
    for pair in read_pair_list(_file(place / "pairs.txt", data)).pairs:
        for path in (Path(pair.a), Path(pair.b)):
            assert path.parts and ".." not in path.parts


def protocol(data: bytes, place: Path) -> None:
    """AgeDB's protocol in MATLAB's format, as it is and compressed."""
    for content in (data, data[:128] + _packed(data[128:])):
        with suppress(DataError):
            for pair in read_protocol(_file(place / "protocol.mat", content), place).pairs:
                assert "/" not in pair.a + pair.b


def tinyface(data: bytes, place: Path) -> None:
    """Both of TinyFace's lists in one file, of a set with three images."""
    for subset, name in zip(SUBSETS, ("1_1.jpg", "1_2.jpg", "x.jpg"), strict=True):
        (place / subset).mkdir(exist_ok=True)
        (place / subset / name).touch()
    for name in ("probe_img_ID_pairs.mat", "gallery_match_img_ID_pairs.mat"):
        _file(place / name, data)
    found = read_tinyface(place)
    assert (found.probe_people.tolist(), found.match_people.tolist()) == ([1], [1])


def image(data: bytes, _: Path) -> None:
    """An image file of any kind, of any size and of a wanted one."""
    with suppress(DataError):
        images.decode_into(np.empty((16, 16, 3), np.uint8), data, "image")
    pixels = images.decode(data, size=None, source="image")
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert pixels.shape[0] * pixels.shape[1] <= images.MAX_PIXELS


def archives(data: bytes, place: Path) -> None:
    """An archive of images, unpacked."""
    archive = _file(place / "archive.zip", data)
    try:
        unpack(archive, place / "out", unheard)
    finally:
        found = [path for path in place.rglob("*") if not path.is_dir() and path != archive]
        assert all(path.is_relative_to(place / "out") and not path.is_symlink() for path in found)
        assert sum(path.stat().st_size for path in found) <= max(FLOOR, MAX_RATIO * len(data))


def params_(data: bytes, place: Path) -> None:
    """MXNet's ``.params``."""
    for name, array in params.read(_file(place / "model-0000.params", data)).items():
        assert name.isprintable() and array.nbytes <= 8 * len(data)


def symbol_(data: bytes, place: Path) -> None:
    """MXNet's ``-symbol.json``."""
    found = symbol.read(_file(place / "model-symbol.json", data))
    found.preprocess()
    assert len(found.layers()) <= len(found.nodes)


def modelfile(data: bytes, place: Path) -> None:
    """The card in a model file's header."""
    read_facts(_file(place / "model.safetensors", data))


def onnxfile_(data: bytes, place: Path) -> None:
    """An ONNX file from outside, and the files that it says it has weights in."""
    found = onnxfile.read(_file(place / "model.onnx", data))
    assert found.parameters >= 0 and len(found.nodes) <= len(data)
    found.normalises  # noqa: B018
    with suppress(DataError):
        assert found.facts is None or found.facts.embedding_size > 0
    with suppress(DataError):
        onnxfile.check_external(found)
        assert not found.external
    onnxfile.write_with_metadata(found, place / "copy.onnx", "key", "value")
    assert onnxfile.read(place / "copy.onnx").metadata["key"] == "value"


def event(data: bytes, _: Path) -> None:
    """A line of a run's log."""
    for line in (data, b'%s,"crc":"%08x"}\n' % (data, zlib.crc32(data))):
        found = events.decode(line)
        assert found is None or isinstance(found, events.Event)


def labelnames(data: bytes, place: Path) -> None:
    """``labels.txt`` of a pack of as many classes as its first byte says."""
    classes = data[0] if data else 0
    assert len(read_names(_file(place / "labels.txt", data[1:]).parent, classes)) in (0, classes)


def guides(data: bytes, place: Path) -> None:
    """What comes with photos: FaceScrub's list of boxes, or after a zero byte MegaFace's landmarks."""
    if data[:1] == b"\0":
        _file(place / "p_1.jpg.json", data[1:])
        guide = MegaFace(place).of("p_1.jpg")
        assert guide.three is None or (guide.three.shape == (3, 2) and np.isfinite(guide.three).all())
    else:
        guide = FaceScrub([_file(place / "boxes.txt", data)], None).of("p_1.jpg")
    assert guide.box is None or (guide.box.shape == (4,) and np.isfinite(guide.box).all())


def arrays(data: bytes, place: Path) -> None:
    """A .npy that holds dictionaries of arrays."""
    for parts in npydict.read(_file(place / "det1.npy", data)).values():
        for array in parts.values():
            assert array.dtype == np.float32


def ijbfaces(data: bytes, place: Path) -> None:
    """IJB's two lines for each image: those before a zero byte are of templates, the others of landmarks."""
    first, _, second = data.partition(b"\0")
    problems = Problems()
    templates = faces.read_templates(_file(place / "tid_mid.txt", first), problems)
    landmarks = faces.read_landmarks(_file(place / "5pts.txt", second), problems)
    assert len(templates.names) == len(templates.templates) == len(templates.media)
    assert len(landmarks.names) == len(landmarks.points) == len(landmarks.scores)
    assert np.isfinite(landmarks.points).all() and np.isfinite(landmarks.scores).all()
    for name in (*templates.names, *landmarks.names):
        assert (place / name).resolve().is_relative_to(place.resolve())
    problems.add(faces.compare(templates, landmarks, (place / "tid_mid.txt", place / "5pts.txt")))
    problems.require_none(place, "copy it again")


def ijbpairs(data: bytes, place: Path) -> None:
    """IJB's pairs of templates."""
    problems = Problems()
    found = read_template_pairs(_file(place / "pairs.txt", data), problems)
    assert len(found.left) == len(found.right) == len(found.same) <= len(data)
    assert (found.left >= 0).all() and (found.right >= 0).all()
    if not problems:
        rows = zip(found.left.tolist(), found.right.tolist(), found.same.astype(int).tolist(), strict=True)
        assert [int(field) for field in data.split()] == [number for row in rows for number in row]
    problems.require_none(place, "copy it again")


def ijbsubjects(data: bytes, place: Path) -> None:
    """A gallery or the probes of IJB."""
    problems = Problems()
    found = subjects.read_subjects(_file(place / "gallery.csv", data), problems)
    assert len(found.templates) == len(found.subjects) <= found.rows <= len(data)
    assert (np.diff(found.templates) > 0).all()
    problems.require_none(place, "copy it again")


def matrices(data: bytes, place: Path) -> None:
    """A matrix file of MegaFace's devkit, as several matrices and as a feature."""
    with suppress(DataError):
        assert len(feature := matrix.parse_feature(data, place / "x.bin")) and feature.dtype == np.float32
    found = matrix.read_matrices(_file(place / "x.bin", data))
    assert sum(m.nbytes for m in found) <= len(data) and all(m.size for m in found)
    again = matrix.parse_matrices(matrix.pack_matrices(found), place / "x.bin")
    assert [m.tobytes() for m in again] == [m.tobytes() for m in found]


def pathlists(data: bytes, place: Path) -> None:
    """A list of images, the devkit's or lines."""
    found = read_path_list(_file(place / "lst", data))
    assert len(found.people) in (0, len(found.paths)) and len(found.repeated) < len(found.paths)
    for path in found.paths:
        assert path.split("/")[-1] and ".." not in path.split("/") and "\n" not in path


def noises(data: bytes, place: Path) -> None:
    """Lists of noise."""
    for read in (read_facescrub_noises, read_megaface_noises):
        found = read(_file(place / "noises.txt", data))
        assert found.lines >= len(found.names) and all(name in found for name in found.names)


def features(data: bytes, place: Path) -> None:
    """The .npy of packed features."""
    found = map_rows(_file(place / "megaface.npy", data))
    assert found.dtype == np.float32 and 0 < found.nbytes < len(data)


def results(data: bytes, place: Path) -> None:
    """A result of MegaFace's devkit."""
    found = read_result(_file(place / "cmc.json", data))
    for share in (found.recall(1), found.recall(10), found.tar_below(1e-6), found.tar_beyond(1e-6)):
        assert share is None or 0 <= share < 1.001


def trainlogs(data: bytes, place: Path) -> None:
    """A log of another program, or TensorBoard's event file; its events are what a run can hold."""
    path = _file(place / "train.log", data)
    binary = eventfiles.is_event_file(path)
    found = [eventfiles.read_run([path])] if binary else split(textlog.read_lines(path))
    if not found:
        raise DataError("no training is in it", "name a log")
    for logged in found:
        assert settings_of(path, logged).steps >= 1
        for event_ in (event_ for attempt in logged.attempts for event_ in attempt):
            event_.t = 1.0
            assert events.decode(events.encode(event_)) is not None


TARGETS: dict[str, Target] = {
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
    "images": image,
    "archives": archives,
    "params": params_,
    "symbol": symbol_,
    "modelfile": modelfile,
    "onnxfile": onnxfile_,
    "events": event,
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


def pack_of(files: dict[str, bytes]) -> bytes:
    """A pack as the input of `facepack`: the lengths of its `PACK_FILES` as u16, then these; 0 is no file."""
    contents = [files.get(name, b"") for name in PACK_FILES]
    return b"".join(len(content).to_bytes(2, "little") for content in contents) + b"".join(contents)


def _packed(element: bytes) -> bytes:
    """An element of a .mat file as a compressed one, which no mutation of it would be."""
    content = zlib.compress(element)
    return (15).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


def _parts(data: bytes) -> list[bytes]:
    at, found = 2 * len(PACK_FILES), []
    for number in range(len(PACK_FILES)):
        length = int.from_bytes(data[2 * number : 2 * number + 2], "little")
        found.append(data[at : at + length])
        at += length
    return found


def _file(path: Path, data: bytes) -> Path:
    """A new file: the one of an earlier try may still be mapped."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path
