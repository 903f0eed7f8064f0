"""What a run's model is good for, from its dashboard."""

from __future__ import annotations

import pytest

from arcterm.console.app import Console
from arcterm.console.forms.jobscreen import JobForm
from arcterm.console.screens.boxes import Ask, Problem, StopBox
from arcterm.console.screens.command import CommandBox
from arcterm.console.screens.dashboard import Dashboard
from arcterm.console.screens.uses import UseBox, command
from arcterm.errors import ConfigError

SMALL = (80, 24)


@pytest.fixture
def over(make):
    made = make("face")
    made.train(20)
    made.verify(lfw=0.98)
    made.save()
    made.become("done")
    return made


@pytest.mark.parametrize(
    ("use", "text", "words"),
    [
        ("export", "a b.onnx", None),
        ("export", "'a b.ts'", ["model", "export", "ID", "-o", "a b.ts", "--format", "torchscript"]),
        ("export", "model.pt", None),
        ("embed", "faces one.png", ["embed", "ID", "faces", "one.png", "-o", "face.npz"]),
        ("compare", "a.png b.png", ["compare", "ID", "a.png", "b.png"]),
        ("compare", "a.png", None),
        ("compare", "'a.png", None),
    ],
)
def test_what_is_typed_becomes_a_command_or_is_refused_in_words(over, use, text, words):
    if words is None:
        with pytest.raises(ConfigError) as refused:
            command(over.run, "best", use, text)
        assert refused.value.hint
    else:
        named = [over.run.id if word == "ID" else word for word in words]
        assert command(over.run, "best", use, text) == [*named, "--checkpoint", "best"]


@pytest.mark.long
async def test_a_finished_run_is_verified_and_applied_from_its_dashboard(
    over, root, until, shown, monkeypatch
):
    monkeypatch.setattr(CommandBox, "_work", lambda box: box.post_message(box.Ended(0)))
    app = Console(root, "face")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Dashboard) and app.screen.view.step == 20)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, UseBox))
        await until(pilot, lambda: "compare that" in shown(app))  # wrapped, and not cut
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"a.png", "space", *"b.png", "enter")
        await until(pilot, lambda: isinstance(app.screen, CommandBox))
        assert app.screen._words == ["compare", over.run.id, "a.png", "b.png", "--checkpoint", "best"]
        await pilot.press("escape", "v")
        await until(pilot, lambda: isinstance(app.screen, JobForm))
        assert app.screen.draft.paths() == [over.run.id]
        assert app.screen.draft.options()["checkpoint"] == "best"


@pytest.mark.long
async def test_a_console_that_only_watches_offers_nothing_that_changes_a_run(make, root, until, shown):
    make("live").train(3)
    app = Console(root, "live", readonly=True)
    async with app.run_test(size=(160, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Dashboard) and "step 3" in shown(app))
        keys = shown(app).splitlines()[-1]
        assert "S stop" not in keys and "u use" not in keys and "i events" in keys
        for key in ("S", "u", "C", "v"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))
            await pilot.press("escape")
            assert isinstance(app.screen, Dashboard)
        app.screen.action_stop()
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, Problem))
        assert "only watches" in shown(app)
