"""The plug-in checks: what is sound passes all of them, what is wrong in one way fails that one."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import unittest

import pytest
import torch
from arcterm_registry import OptionError, PluginError, get, names
from arcterm_registry.conformance import ConformanceWarning, check, checks
from arcterm_registry.conformance.plainhead import learned, loss_of, problem

from arcterm.train.head.head import Head
from arcterm.train.world import World

from . import toys

pytestmark = pytest.mark.long

LIGHT = {"loss": sorted(n for n in names("loss") if ":" not in n), "backbone": ["tiny"]}
STEPPED = {"magface", "mv-softmax", "npc"}  # published with a step or a rise of the target logit


def outcomes(kind, plugin, **options):
    """Outcome and detail by check."""
    return {f.check: (f.outcome, f.detail) for f in check(kind, plugin, **options)}


def only(found, name, outcome, said):
    """Assert that `name` came out as `outcome` and nothing else failed or warned."""
    assert found[name][0] == outcome, found
    assert said in found[name][1]
    others = {key: value for key, value in found.items() if key != name and value[0] in ("failed", "warning")}
    assert not others


@pytest.mark.parametrize("fault", toys.BACKBONES)
def test_a_backbone_that_is_wrong_in_one_way_fails_that_check(fault):
    name, outcome, said, declared = toys.BACKBONES[fault]
    only(outcomes("backbone", declared, quick=True), name, outcome, said)


def test_a_factory_that_can_not_be_named():
    found = outcomes("backbone", dataclasses.replace(toys.NET, factory="nowhere"), quick=True)
    assert found["declaration"] == ("failed", "its factory is 'nowhere' → write package.module:function")


@pytest.mark.parametrize("fault", toys.LONG)
def test_a_backbone_that_is_wrong_when_it_is_deployed_fails_that_check(fault):
    pytest.importorskip("onnxruntime")
    name, said, declared = toys.LONG[fault]
    only(outcomes("backbone", declared, compiler="aot_eager"), name, "failed", said)


def test_every_check_has_a_control():
    controls = {
        "backbone": (toys.NET, {told[0] for told in (*toys.BACKBONES.values(), *toys.LONG.values())}),
        "loss": (toys.loss("Sound"), {told[0] for told in toys.LOSSES.values()}),
        "tuples": (toys.tuples("Pairwise"), {told[0] for told in toys.TUPLES.values()}),
        "dataset": (toys.FACES, {told[0] for told in toys.DATASETS.values()} | {"path"}),
    }
    for kind, (declared, controlled) in controls.items():
        made = {c.name for c in checks(kind.replace("tuples", "loss"), declared)}
        assert made - {"declaration", "light"} == controlled - {"declaration"}


def test_a_sound_backbone_passes_and_nothing_is_left_out():
    pytest.importorskip("onnxruntime")
    found = outcomes("backbone", toys.NET, compiler="eager")
    assert {key for key, (outcome, _) in found.items() if outcome != "ok"} == {"light"}
    assert found["light"] == ("skipped", "it is not installed under a name")


@pytest.mark.parametrize("fault", toys.LOSSES)
def test_a_loss_that_is_wrong_in_one_way_fails_that_check(fault):
    name, outcome, said, declared = toys.LOSSES[fault]
    only(outcomes("loss", declared), name, outcome, said)


@pytest.mark.parametrize("fault", toys.TUPLES)
def test_a_loss_over_tuples_that_is_wrong_in_one_way_fails_that_check(fault):
    name, outcome, said, declared = toys.TUPLES[fault]
    only(outcomes("loss", declared), name, outcome, said)


@pytest.mark.parametrize("declared", [toys.loss("Sound"), toys.loss("Kept"), toys.tuples("Pairwise")])
def test_a_sound_loss_passes(declared):
    found = outcomes("loss", declared)
    assert {key for key, (outcome, _) in found.items() if outcome != "ok"} == {"light"}


@pytest.mark.parametrize("fault", toys.DATASETS)
def test_a_data_set_that_is_wrong_in_one_way_fails_that_check(fault):
    name, outcome, said = toys.DATASETS[fault]
    only(outcomes("dataset", toys.FACES, fault=fault), name, outcome, said)


def test_a_sound_data_set_passes():
    found = outcomes("dataset", toys.FACES)
    assert {key for key, (outcome, _) in found.items() if outcome != "ok"} == {"light"}


def test_a_data_set_in_a_directory_without_its_files(tmp_path):
    needy = dataclasses.replace(toys.FACES, takes_path=True, needs=("faces.npz",))
    only(outcomes("dataset", needy, path=str(tmp_path)), "path", "failed", "has no faces.npz")
    with pytest.raises(PluginError, match="is checked with data"):
        outcomes("dataset", needy)


@pytest.mark.parametrize("kind", LIGHT)
def test_what_comes_with_arcterm_passes(kind):
    for name in LIGHT[kind]:
        wrong = {
            key: told
            for key, told in outcomes(kind, name, quick=True).items()
            if told[0] == "failed" or (told[0] == "warning" and not (key == "falling" and name in STEPPED))
        }
        assert not wrong, name


@pytest.mark.parametrize("name", [n for n in LIGHT["loss"] if get("loss", n).form == "margin"])
def test_the_head_that_losses_are_tried_in_is_the_head_that_trains(name):
    """Loss and gradients of the plain head equal those of arcterm's, for every loss, over two steps."""
    declared = get("loss", name)
    settings = {k: v for k, v in declared.settings({}).items() if v is not None}
    plain, ours = declared.make(**settings), declared.make(**settings)
    plain.prepare(9, 0)
    given = problem(plain)
    head = Head(9, given.x.shape[1], ours, World(), seed=0)
    with torch.no_grad():
        head.weight.copy_(given.weight if plain.centers > 1 else given.weight[:, 0])
        for key, parameter in head.own.items():
            parameter.copy_(given.own[key])
    for step in (1, 2):
        x = given.x.detach().clone().requires_grad_()
        out = head(x, given.labels, step).loss
        out.backward()
        loss = loss_of(plain, given, step)
        slopes = torch.autograd.grad(loss, [given.x, given.weight, *learned(plain)], allow_unused=True)
        torch.testing.assert_close(loss, out, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(slopes[0], x.grad, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            slopes[1].reshape(head.weight.shape), head.weight.grad, rtol=1e-3, atol=1e-3
        )
        head.zero_grad()


def test_a_module_that_imports_torch_is_heavy_to_list(distribution):
    declared = "from arcterm_registry import Loss\n"
    declared += "heavy = light = Loss(summary='a toy', factory='arcterm.losses.plain:Softmax')\n"
    distribution(
        "weighty",
        entry_points="[arcterm.losses]\nheavy = weighty_heavy:heavy\nlight = weighty_light:light\n",
        weighty_heavy="import torch\n" + declared,
        weighty_light=declared,
    )
    only(outcomes("loss", "heavy"), "light", "warning", "listing it imports torch")
    assert outcomes("loss", "light")["light"][0] == "ok"


def test_as_a_test_a_check_raises_warns_or_skips():
    failing = {c.name: c for c in checks("backbone", toys.backbone("Forgetful"), quick=True)}
    with pytest.raises(AssertionError, match=r"differ by .* → register what forward\(\) uses"):
        failing["state-dict"]()
    with pytest.raises(unittest.SkipTest, match="quick"):
        failing["compiled"]()
    failing["shape"]()
    assert str(failing["state-dict"]) == "state-dict"
    with pytest.warns(ConformanceWarning, match="other images of its batch"):
        {c.name: c for c in checks("backbone", toys.backbone("AmongOthers"))}["rows"]()


def test_what_a_plugin_raises_becomes_an_assertion_with_the_place():
    (build,) = (c for c in checks("backbone", toys.backbone("leaves")) if c.name == "build")
    with pytest.raises(AssertionError, match=r"SystemExit: 3 at toys.py:\d+ in leaves"):
        build()


def test_options_can_be_given_with_the_check_and_with_the_call():
    only(outcomes("backbone", toys.NET, quick=True, embedding_size=16), "shape", "ok", "(n, 16)")
    (records,) = (c for c in checks("dataset", toys.FACES) if c.name == "records")
    records()
    with pytest.raises(AssertionError, match="faces 11"):
        records(fault="label outside")
    with pytest.raises(OptionError, match="no option 'sise'"):
        checks("backbone", toys.NET, sise=16)


def test_a_kind_without_checks_and_a_name_that_is_not_there():
    with pytest.raises(PluginError, match="no checks for a recipe"):
        checks("recipe", "local")
    with pytest.raises(PluginError, match="no loss 'arkface'"):
        checks("loss", "arkface")


def test_a_data_set_is_checked_without_torch():
    code = (
        "import sys\nfrom arcterm_registry.conformance import checks\n"
        "found = checks('dataset', 'folder', path='.')\nassert 'torch' not in sys.modules and found\n"
        "assert 'torch' not in sys.modules\nchecks('loss', 'arcface')\nassert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_process_answers_in_json_lines_whatever_is_printed(distribution, monkeypatch):
    site = distribution(
        "chatty",
        entry_points="[arcterm.losses]\nchatty = chatty:chatty\n",
        chatty=(
            "import os\nprint('hello')\nos.system('echo from C')\nfrom arcterm_registry import Loss\n"
            "chatty = Loss(summary='a toy', factory='arcterm.losses.plain:Softmax')\n"
        ),
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    command = [sys.executable, "-m", "arcterm_registry.conformance", "loss", "chatty"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(lines[0]) == ["checks"]
    assert [line["finding"]["check"] for line in lines[1:-1]] == lines[0]["checks"]
    assert {line["finding"]["outcome"] for line in lines[1:-1]} == {"ok"}
    assert lines[-1] == {"done": True}
    assert done.stderr == ""  # what the import of a declaration prints reaches nobody
