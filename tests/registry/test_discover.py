"""Discovery: what is listed, what is refused, and that a stranger's mistake stays the stranger's."""

from __future__ import annotations

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


def test_a_plugin_that_prints_does_not_print_into_our_data(distribution, capsys):
    distribution("noisy", entry_points="[arcterm.losses]\nnoisy = noisy:x\n", noisy="print('hello')\nx = 1\n")
    scan("loss")
    assert capsys.readouterr().out == ""
