"""From photos to a score by the commands of docs/verify.md, with a model trained here and somebody's."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from arcterm_registry import get

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs" / "verify.md"


def commands():
    section = PAGE.read_text(encoding="utf-8").partition("## From photos to a score")[2]
    return [
        shlex.split(line)[1:] for line in re.findall(r"^    (arcterm .*)$", section.split("\n## ")[0], re.M)
    ]


def test_photos_become_a_score_by_the_commands_of_the_page(arcterm, test_data):
    folder = arcterm.folder
    (detector,) = test_data("yunet").glob("*.onnx")
    shutil.copy(detector, folder / "yunet.onnx")
    for person in range(1, 25):
        shutil.copytree(test_data("faces/orl") / f"s{person}", folder / "photos" / f"s{person}")
    torch.manual_seed(0)
    torch.save(get("backbone", "y1").load()(embedding_size=128).state_dict(), folder / "theirs.pth")
    said = {}
    for words in commands():
        done = arcterm(*words)
        said[" ".join(words[:2])] = done.stdout + done.stderr
    assert "aligned 240 of 240 photos" in said["align photos"]
    assert "packed 140 images of 14 people" in said["data pack"]
    for model in ("mine", "theirs.safetensors"):
        verified = said[f"verify {model}"]
        assert "heldout 0." in verified and "AUC" in verified and "FAR ≤ 0.1" in verified
        assert re.search(r"heldout: (one person|two people) at ", said[f"compare {model}"])
    found = float(re.search(r"^heldout (0\.\d+) ±", said["verify mine"], re.M)[1])
    assert found > 0.6
    assert "heldout" in arcterm("model", "show", "theirs.safetensors").stdout
