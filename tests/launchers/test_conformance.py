"""The checks of launchers: of every registered one, and of ones that do what they must not."""

from __future__ import annotations

import subprocess
import sys

import pytest
from arcterm_registry import Launcher, Option, names
from arcterm_registry.conformance import check, checks

from .farm import Farm

REGISTERED = [(name, one) for name in names("launcher") for one in checks("launcher", name)]
OPTIONS = (
    Option(name="hosts", type=int, default=1, low=1, help="machines"),
    Option(name="gpus", type=int, default=0, low=0, help="GPUs of each"),
    Option(name="field", type=str, default="", help="a part of the farm"),
)


@pytest.mark.parametrize("one", [one for _, one in REGISTERED], ids=[f"{n}-{c}" for n, c in REGISTERED])
def test_every_registered_launcher_conforms(one):
    one()


class Bare(Farm):
    def describe(self, submission):
        return "\n".join(["farm " + self.options["field"], " ".join(submission.command)])


class Starting(Farm):
    def describe(self, submission):
        subprocess.run([sys.executable, "-c", ""], check=True)
        return super().describe(submission)


class Forgetful(Farm):
    def describe(self, submission):
        return "farm"


class Sure(Farm):
    def state(self, ids):
        return dict.fromkeys(ids)


class Writing(Farm):
    def check(self, submission):
        (submission.folder / "script").touch()
        return "fine"


class Lacking:
    def __init__(self, **options):
        """It has nothing."""


@pytest.mark.parametrize(
    ("kind", "fails", "said"),
    [
        (Farm, "", ""),
        (Bare, "quoted", "is not quoted → quote each word, shlex.quote()"),
        (Starting, "describe", "it starts a process (subprocess.Popen"),
        (Forgetful, "describe", "is not in it → hand submission.command in"),
        (Sure, "state", "return an EngineState for each id"),
        (Writing, "check", "it returns 'fine', not a list of texts"),
        (Lacking, "build", "it has no check, describe, submit, state, stop, logs"),
    ],
)
def test_what_a_launcher_must_not_do_is_found(monkeypatch, kind, fails, said):
    monkeypatch.setattr(sys.modules[__name__], "made", kind, raising=False)
    monkeypatch.setattr(Farm, "logs", lambda self, id: [])
    declared = Launcher(summary="x", factory=f"{__name__}:made", remote=True, options=OPTIONS)
    found = {finding.check: finding for finding in check("launcher", declared)}
    failed = [name for name, finding in found.items() if finding.outcome == "failed"]
    assert failed[:1] == ([fails] if fails else []), found
    assert not fails or said in found[fails].detail


@pytest.mark.parametrize("lacks", ["hosts", "gpus"])
def test_a_remote_launcher_has_options_for_its_machines(lacks):
    with pytest.raises(ValueError, match=f"a remote launcher has an option '{lacks}'"):
        Launcher(
            summary="x", factory="x:y", remote=True, options=tuple(o for o in OPTIONS if o.name != lacks)
        )
