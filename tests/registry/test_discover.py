"""Discovery: what is listed, what is refused, and that a stranger's mistake stays the stranger's."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from arcterm_registry import Backbone, Dataset, Loss, PluginError, get, names, scan

GOOD = """
from arcterm_registry import Backbone
net = Backbone(summary="a net", factory="{module}_code:make", parameters=1, gmacs=0.1)
"""


def test_built_ins_come_through_the_same_door():
    assert {"r18", "r34", "r50", "r100", "y1", "tiny"} <= set(names("backbone"))
    assert {"softmax", "cosface", "arcface"} <= set(names("loss"))
    assert {"recordio", "folder", "demo"} <= set(names("dataset"))
    assert isinstance(get("backbone", "r50"), Backbone)
    assert isinstance(get("loss", "arcface"), Loss)
    assert isinstance(get("dataset", "demo"), Dataset)


def test_a_stranger_is_listed_and_loaded(distribution):
    distribution(
        "acme_nets",
        entry_points="[arcterm.backbones]\nacme = acme:net\n",
        acme=GOOD.format(module="acme"),
        acme_code="def make(embedding_size=512, **options): return embedding_size\n",
    )
    assert "acme" in names("backbone")
    assert get("backbone", "acme").load()(embedding_size=7) == 7
    assert get("backbone", "acme-nets:acme").summary == "a net"


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(PluginError, match=r"there is no backbone 'r5o'") as error:
        get("backbone", "r5o")
    assert "did you mean r50" in error.value.hint
    assert "tiny" in error.value.hint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("net = 42", "is int, not a Backbone declaration"),
        ("other = 1", "has no attribute 'net'"),
        ("net = (", "SyntaxError"),
        ("import os; os._exit(0)", "ends the process on import (exit code 0)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ends the process on import (signal 9)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("input()", "EOFError"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_error_and_stops_nothing(distribution, source, said):
    distribution("broken", entry_points="[arcterm.backbones]\nbad = bad_module:net\n", bad_module=source)
    bad = next(p for p in scan("backbone") if p.name == "bad")
    assert said in bad.error
    assert bad.declaration is None
    assert next(p for p in scan("backbone") if p.name == "r50").declaration is not None
    with pytest.raises(PluginError, match=r"broken 1\.0 is broken"):
        get("backbone", "bad")


def test_a_name_that_two_distributions_claim_must_be_chosen(distribution):
    distribution(
        "rival", entry_points="[arcterm.backbones]\nr50 = rival:net\n", rival=GOOD.format(module="rival")
    )
    with pytest.raises(PluginError, match=r"'r50' is claimed by arcterm .* and rival 1.0") as error:
        get("backbone", "r50")
    assert "arcterm:r50 or rival:r50" in error.value.hint
    assert get("backbone", "rival:r50").summary == "a net"
    assert get("backbone", "arcterm:r50").parameters == 43_590_848
    assert {"arcterm:r50", "rival:r50"} <= set(names("backbone"))


@pytest.mark.parametrize(
    "text",
    [
        "this is no ini file\n",
        "[arcterm.backbones]\nx = a:b\nx = a:b\n",
        "[arcterm.backbones]\n[arcterm.backbones]\n",
        "[arcterm.backbones\n%(\n",
        "\x00\xff",
        "[console_scripts]\nsame = a:b\nsame = a:b\n",
    ],
)
def test_one_malformed_metadata_file_breaks_nothing(distribution, text):
    distribution("malformed", entry_points=text)
    assert "r50" in names("backbone")
    assert get("loss", "cosface").option("margin") is not None


def test_a_malformed_target_is_a_broken_plugin(distribution):
    distribution("odd", entry_points="[arcterm.losses]\nodd = not a target!\n")
    odd = next(p for p in scan("loss") if p.name == "odd")
    assert "not a target!" in odd.error


def test_metadata_that_is_not_utf8_breaks_nothing(distribution):
    site = distribution("latin", entry_points="")
    (site / "latin-1.0.dist-info" / "entry_points.txt").write_bytes(b"[arcterm.losses]\nl\xe9 = a:b\n")
    assert "cosface" in names("loss")


def test_the_first_on_the_path_shadows_the_same_distribution(distribution, tmp_path, monkeypatch):
    distribution("twice", entry_points="[arcterm.losses]\none = a:b\n", version="1.0")
    later = tmp_path / "later" / "twice-0.9.dist-info"
    later.mkdir(parents=True)
    (later / "entry_points.txt").write_text("[arcterm.losses]\nold = a:b\n")
    monkeypatch.setattr("sys.path", [*__import__("sys").path, str(tmp_path / "later")])
    assert "one" in names("loss")
    assert "old" not in names("loss")


@pytest.mark.long
@pytest.mark.parametrize(
    "source",
    [
        "import time; time.sleep(1000)",
        "while True: pass",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()",
        "import subprocess; subprocess.run(['sleep', '1000'])",
    ],
)
def test_plugins_that_hang_cost_the_time_limit_once_and_are_named(distribution, monkeypatch, source):
    monkeypatch.setenv("ARCTERM_PLUGIN_SECONDS", "0.5")
    entries = "[arcterm.losses]\nhang1 = hang:x\nhang2 = hang:x\n"
    distribution("sleepy", entry_points=entries, hang=source)
    began = time.monotonic()
    found = {plugin.name: plugin for plugin in scan("loss")}
    assert time.monotonic() - began < 10
    assert found["cosface"].declaration is not None
    for name in ("hang1", "hang2"):
        assert "hangs on import" in found[name].error
        assert "ARCTERM_PLUGIN_SECONDS" in found[name].error
    with pytest.raises(PluginError, match=r"sleepy 1\.0 is broken: hangs on import"):
        get("loss", "hang1")


def test_what_an_import_does_to_its_process_does_not_reach_ours(distribution, monkeypatch, capfd):
    before, here = signal.getsignal(signal.SIGINT), Path.cwd()
    meddling = """
import os, signal, sys
os.write(1, b"hello"); print("hello"); os.chdir("/"); sys.path.clear(); os.environ["MEDDLED"] = "1"
signal.signal(signal.SIGINT, signal.SIG_IGN)
"""
    source = meddling + GOOD.format(module="meddling")
    distribution("meddler", entry_points="[arcterm.backbones]\nmeddling = meddling:net\n", meddling=source)
    assert get("backbone", "meddling").summary == "a net"
    assert (signal.getsignal(signal.SIGINT), Path.cwd()) == (before, here)
    assert "MEDDLED" not in os.environ
    assert "meddling" not in sys.modules
    assert "hello" not in "".join(capfd.readouterr())


def test_every_field_of_a_declaration_arrives(distribution):
    source = """
from arcterm_registry import Backbone, Option, Preprocess
scale = Option(name="scale", type=float, default=0.1 + 0.2, low=0, high=float("inf"), open_low=True, help="h")
stem = Option(name="stem", type=str, default="a", choices=("a", "b"), help="h")
made = dict(summary="Ein Netz é", factory="x:make", parameters=7, gmacs=0.25, embedding_size=64)
net = Backbone(
    **made, options=(scale, stem), input_size=(96, 80), recipe={"optimizer": "adamw"},
    preprocess=Preprocess(mean=0.5, scale=2.0), variants="x:variants", check="x:check",
)
"""
    distribution("full", entry_points="[arcterm.backbones]\nfull = full:net\n", full=source)
    written: dict[str, object] = {}
    exec(source, written)
    assert get("backbone", "full") == written["net"]
    assert get("backbone", "full").usual == {"optimizer": "adamw"}  # by its former name, `recipe`


def test_a_declaration_of_a_class_of_its_own_is_had_in_place(distribution):
    source = """
from arcterm_registry import Loss
class Mine(Loss):
    def load(self): return int
own = Mine(summary="own", factory="x:make")
"""
    distribution("owner", entry_points="[arcterm.losses]\nown = own_loss:own\n", own_loss=source)
    assert get("loss", "own").load() is int


def test_a_plugin_that_prints_does_not_print_into_our_data(distribution, capsys):
    distribution("noisy", entry_points="[arcterm.losses]\nnoisy = noisy:x\n", noisy="print('hello')\nx = 1\n")
    scan("loss")
    assert capsys.readouterr().out == ""
