"""The form's checks in a process of their own: what prints, ends the process or hangs is said in words."""

from __future__ import annotations

import pytest

from arcterm.console.forms import judge as judging
from arcterm.console.forms.judge import Judge
from arcterm.errors import FailedError

pytestmark = pytest.mark.slow
RUDE = """
import os, threading
from arcterm_registry import Dataset, Option
from arcterm_registry.contracts import DatasetFacts
how = Option(name="how", type=str, default="loud", help="what it does")
data = Dataset(summary="rude", factory="rude:make", inspect="rude:inspect", takes_path=False, options=(how,))

def inspect(how):
    for stream in (1, 2):
        os.write(stream, b"LOUD")
    print("LOUD")
    if how == "dies":
        os._exit(7)
    if how == "hangs":
        threading.Event().wait()
    return DatasetFacts(images=640, classes=20, image_size=(112, 112), fingerprint="f", set_aside={})
"""


def test_no_process_is_started_for_a_form_that_was_left(root):
    judge = Judge()
    judge.close()
    with pytest.raises(FailedError, match="was left"):
        judge.ask({"backbone": "tiny", "loss": "arcface", "dataset": "demo"}, root)
    assert judge._process is None


def test_a_rude_data_set_is_a_line_in_words(distribution, root, capfd, monkeypatch):
    distribution("rude", entry_points="[arcterm.datasets]\nrude = rude:data\n", rude=RUDE)
    asked = {"backbone": "tiny", "loss": "arcface", "dataset": "rude", "batch_size": 8, "nproc": 1}
    judge = Judge()
    assert judge.ask(asked, root).plan.facts.images == 640
    with pytest.raises(FailedError, match="the check ended with 7: the data set"):
        judge.ask(asked | {"dataset_options": {"how": "dies"}}, root)
    assert judge.ask(asked | {"nproc": 0}, root).problems  # another process has the answer
    monkeypatch.setattr(judging, "_PATIENCE_SECONDS", 0.1)
    with pytest.raises(FailedError, match="another plug-in hangs"):
        judge.ask(asked | {"dataset_options": {"how": "hangs"}}, root)
    judge.end()
    assert "LOUD" not in "".join(capfd.readouterr())
