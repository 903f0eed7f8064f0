"""--config files that would take time and memory out of all proportion, or are no files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tomllib

import pytest

from arcterm import tomlfile
from arcterm.errors import ConfigError
from arcterm.overrides import parse_assignments, read_settings

MANY = 50_000
HOSTILE = {
    "brackets": "a = " + "[" * MANY,
    "closed brackets": "a = " + "[" * 30_000 + "]" * 30_000,
    "tables": "a = " + "{a=" * 20_000,
    "dotted": ".".join("a" * 30_000) + " = 1",
    "quoted dotted": ".".join(['"a"'] * 15_000) + " = 1",
    "empty dotted": ".".join(["''"] * 15_000) + " = 1",
    "spaced dotted": "\t.  ".join("a" * 15_000) + " = 1",
    "dotted table": f"[{'.'.join('a' * 30_000)}]",
    "dotted tables": f"[[{'.'.join('a' * 30_000)}]]",
    "short dotted": "\n".join(f"{'.'.join(f'k{n}x{p}' for p in range(40))} = 1" for n in range(200)),
    "dotted after a string": 'a = """"b"""""\n' + ".".join("a" * 30_000) + " = 1",
    "brackets that seem a string": 'a = ["""b"""", ' + "[" * MANY + '"]',
    "brackets after a comment": 'a = 1 # it\'s """\nb = ' + "[" * MANY + '# """',
    "digits": "lr = " + "9" * MANY,
    "underscores": "lr = 1" + "_1" * 25_000,
    "hex": "lr = 0x" + "f" * MANY,
    "fraction": "lr = 0." + "1" * MANY,
    "exponent": "lr = 1e" + "1" * MANY,
    "date": "lr = 1979-05-27T07:32:00." + "9" * MANY,
    "strings": '"""' * 20_000,
    "escaped": 'a = """' + '\\"""' * 15_000,
    "backslashes": 'a = "' + "\\" * MANY,
    "long": "#" * (100 << 10),
    "long key": "a" * MANY + " = 1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_would_blow_up_is_refused_in_words(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    assert str(path) in caught.value.message and len(str(caught.value)) < 2000


@pytest.mark.long
def test_it_takes_little_memory_and_little_time(tmp_path):
    for number, text in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.toml").write_text(text)

    def limits():
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    code = (
        "import sys, pathlib\nfrom arcterm import tomlfile\nfrom arcterm.errors import ConfigError\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.toml'):\n"
        "    try: tomlfile.read(path, '')\n    except ConfigError: print('refused')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limits)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused") >= len(HOSTILE) - 1


@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "missing", "bytes", "nul", "loop"])
def test_what_is_no_file_of_text_is_refused_without_waiting(tmp_path, kind):
    path = tmp_path / "x.toml"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b"a = '\xff\xfe'")
    elif kind == "nul":
        path = tmp_path / "a\0b"
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(ConfigError):
        read_settings(path)
    with pytest.raises(ConfigError) as caught:
        tomlfile.read(path, "ask whoever wrote it")
    assert caught.value.hint == "ask whoever wrote it"


def test_files_that_people_write_are_read(tmp_path):
    text = (
        '\ufeff# it\'s "mine" [[[[[[[[[[[[[[[[[[[[\nbackbone = "r50"\nmilestones = [\n  10, # """\n  20,\n]\n'
        "lr = 1.5e-3\ngpus = '0,1'\n[loss_options]\nmargin = 0.3\nnote = '''[[[[[\n]]\n'''\n"
        'long = """\\\n   a "" b""""\n"quoted key" = "a.b.c.d.e.f.g.h.i.j.k.l"\n'
    )
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    assert tomlfile.read(tmp_path / "x.toml", "") == tomllib.loads(text.lstrip("\ufeff"))
    nested = "a = " + "[" * 10 + "1" + "]" * 10 + "\nb.c.d.e = 1\n"
    (tmp_path / "y.toml").write_text(nested)
    assert tomlfile.read(tmp_path / "y.toml", "") == tomllib.loads(nested)


@pytest.mark.parametrize(
    "text",
    [
        f"lr = {'9' * 200}",
        f"batch_size = {'9' * 30}",
        f"steps = 0x{'f' * 100}",
        "lr = inf",
        "seed = nan",
        "loss = {margin = 0.3}",
        "dataset = ['a', 'b']",
        "name = 3",
        "loss_options = 3",
        "milestones = [[1]]",
    ],
)
def test_values_out_of_all_range_are_refused_in_words(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text)
    if text == "milestones = [[1]]":  # which is looked at with the number of steps
        assert read_settings(path) == {"milestones": "[1]"}
        return
    with pytest.raises(ConfigError):
        read_settings(path)


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5000, "1e400", "-" + "9" * 30])
@pytest.mark.parametrize("name", ["lr", "batch_size", "seed"])
def test_huge_numbers_on_the_command_line_are_refused_in_words(name, value):
    with pytest.raises(ConfigError) as caught:
        parse_assignments([f"{name}={value}"])
    assert len(str(caught.value)) < 600
