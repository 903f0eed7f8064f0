"""The kind of a model file by its first bytes, whatever its name ends in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.onnxfile import is_onnx

Kind = Literal["torch", "safetensors", "onnx", "params", "symbol"]

_LOOKED_AT = 512
_PARAMS = (0x112).to_bytes(8, "little")
_TAR = 257  # where a tar's mark stands, the form that PyTorch wrote before 0.1.10
_BY_ENDING: dict[str, Kind] = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".pt": "torch",
    ".pth": "torch",
    ".ckpt": "torch",
    ".bin": "torch",
    ".tar": "torch",
}
_STRANGE = {
    b"\x93NUMPY": "a NumPy array; det1.npy to det3.npy of MTCNN are a detector's",
    b"\x89HDF": "HDF5, as Keras writes it",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x1f\x8b": "packed by gzip",
    b"Rar!": "an archive",
    b"7z\xbc\xaf": "an archive",
    b"RKNN": "for Rockchip's processors",
    b"7767517": "of ncnn",
}


def find_kind(path: Path) -> Kind | None:
    """Tell the kind of a file by its content, or where that says nothing by its ending; None for neither.

    Raises `DataError` for a file that can't be read, is a Git LFS pointer, or begins like something else that
    is well known.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check its permissions") from None
    refuse_pointer(head, path)
    if not head:
        raise DataError(f"{path} is no model file: it is empty", "copy it again")
    strange = [what for start, what in _STRANGE.items() if head.startswith(start)]
    if head[4:8] == b"TFL3":
        strange = ["of TensorFlow Lite"]
    if head.startswith(b"PK\x03\x04") and b".npy" in head[30:100]:
        strange = ["an archive of NumPy's arrays"]
    if strange:
        raise DataError(
            f"{path} is no model file that is known here: it is {strange[0]}",
            "give the model as ONNX, as PyTorch or MXNet wrote it, or as .safetensors",
        )
    return _kind(head) or _BY_ENDING.get(path.suffix)


def _kind(head: bytes) -> Kind | None:
    if head.startswith(_PARAMS):
        return "params"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "safetensors"
    # a zip, a pickle of protocol 2 to 5, or a tar: torch.save's three forms
    if head.startswith(b"PK\x03\x04") or (head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5")):
        return "torch"
    if head[_TAR : _TAR + 5] == b"ustar":
        return "torch"
    if is_onnx(head):
        return "onnx"
    return "symbol" if head.lstrip().startswith(b"{") and b'"nodes"' in head else None
