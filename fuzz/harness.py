"""One target under atheris: ``python -m fuzz.harness TARGET [libFuzzer's options] [CORPUS… or one INPUT]``.

An input is a finding if the target raises anything but `DataError`, has a message that a terminal would not
print as it is, takes much memory, or five seconds.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from arcterm.errors import DataError

GROWTH = 64 << 20
GROWTH_OF_PICTURES = 640 << 20
"""Bytes that an input may add to the most that the process ever held; pictures of `MAX_PIXELS` take some."""
PICTURES = ("images", "pairs", "facepack")
SECONDS = 5
STATUS = Path("/proc/self/status")
_ADDRESSES = 2 << 30
_MESSAGE = 1000


def attempt(target: Callable[[bytes, Path], None], data: bytes, place: Path, growth: int = GROWTH) -> None:
    """Give `data` to a target, which works in the empty folder `place`, and look at what it says and takes.

    Raises whatever the target raises but `DataError`, and AssertionError as above.
    """
    before = _peak() if STATUS.exists() else 0
    try:
        target(data, place)
    except DataError as error:
        assert error.message.isprintable() and len(error.message) < _MESSAGE, ascii(error.message)
        assert error.hint
    finally:
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    grown = _peak() - before if before else 0
    assert grown <= growth, f"{len(data)} bytes took {grown >> 20} MiB"


def fuzz(target: Callable[[bytes, Path], None], options: Sequence[str], growth: int = GROWTH) -> None:
    """Try inputs until libFuzzer's `options` say stop or there is a finding; ends the process."""
    import atheris

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESSES, size + _ADDRESSES))
    with tempfile.TemporaryDirectory() as place:  # which libFuzzer's way of ending leaves behind
        atheris.Setup(
            [sys.argv[0], f"-timeout={SECONDS}", "-print_final_stats=1", *options],
            lambda data: attempt(target, data, Path(place), growth),
        )
        atheris.Fuzz()


def _peak() -> int:
    """The most bytes that this process ever held; getrusage's number begins with that of its parent."""
    with STATUS.open("rb") as file:
        return int(file.read().partition(b"VmHWM:")[2].split(maxsplit=1)[0]) << 10


def main() -> None:
    """Fuzz the target that the first argument names; the others are libFuzzer's."""
    import atheris

    with atheris.instrument_imports(include=["arcterm", "tarfile", "zipfile"]):
        from fuzz.targets import TARGETS
    name = sys.argv[1]
    fuzz(TARGETS[name], sys.argv[2:], GROWTH_OF_PICTURES if name in PICTURES else GROWTH)


if __name__ == "__main__":
    main()
