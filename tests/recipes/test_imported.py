"""Configs of arcface_torch become recipes without being run."""

from __future__ import annotations

import json

import pytest

from arcterm.launch.recipes import find, layer

from .configs import BASE, CASES, HEAD, Case


@pytest.fixture
def written(tmp_path):
    """``written(case)`` → the path of a config, in a folder ``configs``."""

    def write(case: Case):
        folder = tmp_path / "configs"
        folder.mkdir()
        (folder / f"{case.name}.py").write_text(case.text)
        if case.base:
            (folder / "base.py").write_text(case.base)
        return folder / f"{case.name}.py"

    return write


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_config_becomes_a_recipe_that_can_be_planned(arcterm, written, tmp_path, case):
    code, out, err = arcterm("recipes", "import", str(written(case)))
    assert code == 0, err
    for words in case.said:
        assert words in err
    assert "secret-of-mine" not in out + err
    file = tmp_path / "imported.toml"
    file.write_text(out)
    recipe = find.read(file)
    found = layer.flat(recipe.values)
    assert case.sets.items() <= found.items()
    assert recipe.global_batch == case.images
    backbone = [] if "backbone" in found else ["tiny", found["loss"]]
    code, out, err = arcterm(
        "train", *backbone, "--recipe", str(file), "--gpus", "none", "--dry-run", "--json"
    )
    assert code == 0, err
    planned = json.loads(out)
    assert planned["lr"] == found["lr"] or planned["optimizer"] == "sgd"
    step = planned["batch_size"] * planned["accumulate"]
    assert planned["lr"] == pytest.approx(found["lr"] * (step / case.images if "lr" in found else 1))


def test_it_is_saved_by_name(arcterm, written, own):
    path = str(written(CASES[0]))
    code, out, err = arcterm("recipes", "import", path, "--name", "theirs", "--gpus", "4")
    assert (code, out) == (0, "arcterm train --recipe theirs\n")
    assert f"saved {own / 'theirs.toml'}" in err
    assert find.find("theirs").global_batch == 512
    described = json.loads(arcterm("recipes", "show", "theirs", "--json")[1])
    assert "rec /train_tmp/faces is not here: give --dataset" in described["notes"]
    code, _, err = arcterm("recipes", "import", path, "--name", "theirs")
    assert (code, "there is a recipe theirs already" in err) == (2, True)
    for name, said in (("ms1mv3-r50-arcface", "an installed package"), ("../x", "no name of a recipe")):
        code, _, err = arcterm("recipes", "import", path, "--name", name)
        assert (code, said in err) == (2, True)


def test_data_that_is_here_is_taken_over(arcterm, written, tmp_path):
    (tmp_path / "faces").mkdir()
    text = f'{HEAD}config = edict()\nconfig.rec = "{tmp_path / "faces"}"\n'
    code, out, _ = arcterm("recipes", "import", str(written(Case("here", text, {}))), "--json")
    described = json.loads(out)
    assert code == 0
    assert described["settings"]["dataset"] == str(tmp_path / "faces")
    assert not any("rec" in remark.split() for remark in described["remarks"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"config = (", "is not Python: line 1"),
        (b"config\0", "is not Python"),
        (b"(" * 5000, "is not Python"),
        (b"#" * 300_000, "is longer than"),
    ],
)
def test_what_is_no_config_is_refused(arcterm, tmp_path, data, said):
    (tmp_path / "bad.py").write_bytes(data)
    code, out, err = arcterm("recipes", "import", "bad.py")
    assert (code, out) == (2, "")
    assert said in err
    assert arcterm("recipes", "import", ".")[0] == 2
    assert arcterm("recipes", "import", "none.py")[0] == 2


def test_configs_that_import_each_other_end(arcterm, tmp_path):
    (tmp_path / "base.py").write_text("from other import config\n" + BASE)
    (tmp_path / "other.py").write_text(f"from base import config\n{HEAD}config = edict()\nconfig.lr = 0.3\n")
    code, out, _ = arcterm("recipes", "import", "other.py", "--json")
    assert (code, json.loads(out)["settings"]["lr"]) == (0, 0.3)
