"""Every seed goes through its parser once, without atheris; and what the harness is to find, it finds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

from arcterm.errors import DataError
from fuzz.harness import GROWTH_OF_PICTURES, attempt
from fuzz.seeds import CORPUS, SEEDS
from fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(CORPUS.glob("*/*"))

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has no wheel for this Python"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")


def ran(*arguments: str, temporary: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What Python gave for `arguments` in a process of its own."""
    command = [sys.executable, *arguments]
    env = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, errors="replace", check=False
    )


@pytest.mark.parametrize("seed", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_seed_is_read_or_refused(seed: Path, tmp_path: Path) -> None:
    attempt(TARGETS[seed.parent.name], seed.read_bytes(), tmp_path, GROWTH_OF_PICTURES)


def test_every_target_has_a_small_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS) == set(SEEDS)
    assert {path.parent.name for path in CORPUS.iterdir()} == {"corpus"}
    sizes = [path.stat().st_size for path in FILES]
    assert max(sizes) < 4096 and sum(sizes) < 200_000


def test_seeds_reach_what_is_behind_the_first_check(tmp_path: Path) -> None:
    """Each target takes at least one of its seeds for a good file: else nothing behind is ever fuzzed."""
    for name, target in TARGETS.items():
        accepted = 0
        for number, seed in enumerate((CORPUS / name).iterdir()):
            place = tmp_path / name / str(number)
            place.mkdir(parents=True)
            try:
                target(seed.read_bytes(), place)
                accepted += 1
            except DataError:
                pass
        assert accepted, name


# Negative controls: parsers with planted bugs.


def without_a_check(data: bytes, place: Path) -> None:
    """Reads a byte at the place that the fourth one gives."""
    if data[:3] == b"ARC" and len(data) > 3:
        data[data[3]]
    raise DataError("not what it should be", "copy it again")


def greedy(data: bytes, place: Path) -> None:
    """Believes the length that the file gives."""
    bytearray(int.from_bytes(data[:4], "little"))[:] = b""


def talkative(data: bytes, place: Path) -> None:
    """Says what the file says."""
    raise DataError(f"{data.decode()} is no number", "copy it again")


def test_a_missing_check_is_found(tmp_path: Path) -> None:
    attempt(without_a_check, b"ARC\x00", tmp_path)
    with pytest.raises(IndexError):
        attempt(without_a_check, b"ARC\x04", tmp_path)


@pytest.mark.long
@needs_linux
def test_memory_is_watched(tmp_path: Path) -> None:
    command = "import sys; from pathlib import Path; from tests.test_fuzz import attempt, greedy; "
    command += "attempt(greedy, int(sys.argv[1]).to_bytes(4, 'little'), Path(sys.argv[2]))"
    done = [ran("-c", command, str(size << 20), str(tmp_path)) for size in (1, 1000)]
    assert done[0].returncode == 0, done[0].stderr
    assert "AssertionError: 4 bytes took" in done[1].stderr


@pytest.mark.parametrize("text", [b"\x1b[2J", b"x" * 2000])
def test_messages_are_fit_for_a_terminal(tmp_path: Path, text: bytes) -> None:
    attempt(talkative, b"abc", tmp_path)
    with pytest.raises(AssertionError):
        attempt(talkative, text, tmp_path)


def test_what_a_target_leaves_is_gone(tmp_path: Path) -> None:
    def leaves(data: bytes, place: Path) -> None:
        (place / "a" / "b").mkdir(parents=True)
        (place / "c").write_bytes(data)

    attempt(leaves, b"x", tmp_path)
    assert list(tmp_path.iterdir()) == []


_PLANTED = """
    import sys, time
    import atheris
    from arcterm.errors import DataError
    from fuzz.harness import fuzz

    @atheris.instrument_func
    def planted(data, place):
        if data[:1] == b"A" and data[1:2] == b"R" and data[2:3] == b"C" and len(data) > 3:
            {bug}
        raise DataError("not what it should be", "copy it again")

    fuzz(planted, sys.argv[1:])
"""


@needs_atheris
@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "words", "tries"),
    [
        ("data[data[3]]", "IndexError", 1_000_000),
        ("time.sleep(60)", "timeout", 1_000_000),
        ("pass", "DONE", 5000),
    ],
)
def test_atheris_finds_planted_bugs(tmp_path: Path, bug: str, words: str, tries: int) -> None:
    options = [
        f"-runs={tries}",
        "-max_total_time=60",
        "-timeout=5",  # a busy machine stands still for a second or two
        "-rss_limit_mb=0",  # libFuzzer would count the most that the process which starts it ever held
        "-seed=1",
        f"-artifact_prefix={tmp_path}/found-",
    ]
    done = ran("-c", textwrap.dedent(_PLANTED).format(bug=bug), *options, temporary=tmp_path)
    assert words in done.stdout + done.stderr, done.stderr[-2000:]
    found = [path.read_bytes()[:3] for path in tmp_path.glob("found-*")]
    assert (done.returncode == 0, found) == ((True, []) if bug == "pass" else (False, [b"ARC"]))


@needs_atheris
@pytest.mark.slow
def test_the_runner_tells_how_many_inputs_a_target_had() -> None:
    done = ran("-m", "fuzz.run", "irheader", "property", "--seconds", "2")
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"^(irheader|property) +[0-9,]+ inputs, [0-9,]+ a second$", done.stdout, re.M)) == 2
    assert ran("-m", "fuzz.run", "no-parser").returncode == 2
