"""The process that does what needs torch: it answers, or it is told how it ended."""

from __future__ import annotations

import io
import os
import pickle
import signal
import struct
import sys
import threading
import zipfile

import psutil
import pytest

from arcterm.errors import ArctermError, ConfigError, DataError
from arcterm.processes import child
from arcterm.show.pages import PageDrawer, PageRequest

pytestmark = pytest.mark.long


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """``stand_in(source)``: Python that is run instead, with the same words and pipes."""

    python = sys.executable

    def use(source):
        script = tmp_path / "python"
        script.write_text(f"#!{python}\nimport json, os, sys, time\n{source}\n")
        script.chmod(0o755)
        monkeypatch.setattr(child.sys, "executable", str(script))

    return use


def test_the_request_arrives_and_the_answer_returns(stand_in):
    stand_in(
        """
asked = json.load(sys.stdin)
for n in (1, 2):
    print(json.dumps({"progress": [n, 2, "reading"]}), flush=True)
print(json.dumps({"result": {"words": sys.argv[1:], "asked": asked}}))
"""
    )
    told = []
    answer = child.ask("show", {"place": {"file": "größe"}}, lambda *words: told.append(words))
    assert answer == {
        "words": ["-m", "arcterm.export.tool", "show", str(os.getpid())],
        "asked": {"place": {"file": "größe"}},
    }
    assert told == [(1, 2, "reading"), (2, 2, "reading")]
    assert child.ask("show", {})["asked"] == {}


@pytest.mark.parametrize(("kind", "expected"), [("DataError", DataError), ("ConfigError", ConfigError)])
def test_an_error_keeps_its_kind(stand_in, kind, expected):
    stand_in(f"print(json.dumps({{'error': {{'kind': '{kind}', 'message': 'm', 'hint': 'h'}}}}))")
    with pytest.raises(expected) as raised:
        child.ask("show", {})
    assert (raised.value.message, raised.value.hint) == ("m", "h")


def test_an_unknown_kind_of_error_is_one_of_ours(stand_in):
    stand_in("print(json.dumps({'error': {'kind': 'OSError', 'message': 'm', 'hint': ''}}))")
    with pytest.raises(ArctermError, match=r"^m$"):
        child.ask("show", {})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("sys.exit('last words')", "ended with 1 before it had an answer"),
        ("sys.exit(0)", "ended with 0 before it had an answer"),
        ("os.kill(os.getpid(), 9)", r"was ended by SIGKILL \(out of memory\?\)"),
        ("os.kill(os.getpid(), 11)", "was ended by SIGSEGV before"),
        ("print('{\"progress\": [\"reading\", 1', end=''); sys.exit(3)", "ended with 3 before"),
        ("print('words of a library')", "ended with 0 before"),
        ("print('[1]'); print('3'); print('null')", "ended with 0 before"),
    ],
)
def test_a_process_that_ends_without_an_answer(stand_in, source, said):
    stand_in(f"sys.stderr.write('x' * 5000 + 'the end')\n{source}")
    with pytest.raises(ArctermError, match=said) as raised:
        child.ask("import", {})
    assert "`import`" in raised.value.message
    assert "the end" in raised.value.hint
    assert len(raised.value.hint) <= 2000


def test_a_process_that_reads_nothing_or_says_much(stand_in):
    """Neither pipe may fill up and stop both."""
    large = {"images": ["x" * 1000] * 1000}
    stand_in("sys.stdin.close(); sys.exit(4)")
    with pytest.raises(ArctermError, match="ended with 4"):
        child.ask("embed", large)
    stand_in("sys.stderr.write('x' * 1000000); print(json.dumps({'result': json.load(sys.stdin)}))")
    assert child.ask("embed", large) == large


def test_an_interrupted_conversation_leaves_no_process(stand_in):
    stand_in(f"print(json.dumps({{'progress': [os.getpid(), 2, 'x']}}), flush=True); time.sleep({60})")
    seen = []

    def interrupt(number, *_):
        seen.append(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.ask("show", {}, interrupt)
    assert not psutil.pid_exists(seen[0])


def test_another_thread_ends_it_and_what_it_started(stand_in):
    """A plug-in's own process holds the pipes open; it must not outlive the end."""
    stand_in(
        """
import subprocess
other = subprocess.Popen(["sleep", "60"])
print(json.dumps({"progress": [os.getpid(), other.pid, ""]}), flush=True)
other.wait()
"""
    )
    process = child.Child("arcterm.show.pages", "draw")
    seen = []

    def end(first, other, what):
        seen.extend([first, other])
        thread = threading.Thread(target=process.end)
        thread.start()
        thread.join()

    with pytest.raises(child.ChildEndedError, match="SIGKILL"):
        process.ask({}, end)
    assert not psutil.pid_exists(seen[0])
    with pytest.raises(child.ChildEndedError, match="before it started"):
        process.ask({})


def test_a_page_whose_process_crashes_is_refused_in_its_last_words(stand_in):
    stand_in("sys.exit('Traceback\\n\x1b[2Jno such image')")
    with pytest.raises(DataError, match=r"my pack can't be shown: .*no such image\n") as raised:
        PageDrawer().draw(PageRequest(source="my pack", width=80))
    assert "arcterm data check 'my pack'" in raised.value.hint


def test_signals_are_named():
    assert child._describe_exit(-signal.SIGTERM) == "was ended by SIGTERM"


class Call:
    """Pickled, it runs a command when it is read."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def archive(data):
    """An archive like torch's whose pickle is `data`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
    return stream.getvalue()


def test_the_real_process_and_hostile_files(tmp_path):
    """What runs code or claims memory is refused by name, in the process that users meet."""
    canary = tmp_path / "canary"
    hostile = {
        "code.pth": archive(pickle.dumps(Call(f"touch {canary}"), protocol=2)),
        "bare.pt": pickle.dumps(Call(f"touch {canary}"), protocol=2),
        "memory.ckpt": archive(b"\x80\x02X" + struct.pack("<I", 0x7FFFFFFF) + b"a."),
        "header.safetensors": struct.pack("<Q", 90_000_000) + b"[" * 1000,
    }
    for name, data in hostile.items():
        path = tmp_path / name
        path.write_bytes(data)
        request = {"place": {"file": str(path)}, "known": {"backbone": "tiny"}, "head": "drop"}
        request["target"] = str(tmp_path / "out.safetensors")
        with pytest.raises(DataError) as raised:
            child.ask("import", request)
        assert str(path) in raised.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(hostile)


def test_a_verb_that_there_is_not():
    with pytest.raises(ArctermError, match="the process for `dance` ended with 1"):
        child.ask("dance", {})
