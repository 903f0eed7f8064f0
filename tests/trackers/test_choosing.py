"""Trackers are chosen as other settings are, and what can't work is refused before a run exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from arcterm_registry import PluginError

from arcterm.errors import ConfigError
from arcterm.launch.trackers import chosen
from arcterm.overrides import merge, parse_assignments, read_settings
from arcterm.runs import trackers
from tests.trackers.conftest import Story, change_config

TOYS = """\
from arcterm_registry import Option, Tracker
one = Tracker(summary="one", factory="x:y", files=("place",), options=(
    Option(name="project", type=str, default="p", help="."),
    Option(name="place", type=str, default="", help="."),
))
two = Tracker(summary="two", factory="x:y", options=(
    Option(name="rows", type=int, default=1, low=1, help="."),
))
absent = Tracker(summary="absent", factory="x:y", needs=("no_such_module",),
                 install="pip install it")
refuses = Tracker(summary="refuses", factory="x:y", check="toyschosen:refuse")
def refuse(): raise ValueError("there is no key here → set SOME_KEY")
"""


@pytest.fixture(autouse=True)
def toys(distribution: Callable[..., Path]) -> None:
    points = "[arcterm.trackers]\n" + "".join(
        f"{name} = toyschosen:{name}\n" for name in ("one", "two", "absent", "refuses")
    )
    distribution("toyschosen", entry_points=points, toyschosen=TOYS)


def test_options_are_shared_by_the_trackers_that_have_them(tmp_path: Path) -> None:
    given = parse_assignments(["track=one, two", "track.project=faces", "track.rows=3", "track.place=here"])
    track, options = chosen.choose(given["track"], given["track_options"])
    assert track == "one,two"
    assert options == {"project": "faces", "rows": 3, "place": str(Path("here").absolute())}
    file = tmp_path / "run.toml"
    file.write_text('track = "one"\n[track_options]\nproject = "faces"\n')
    merged = merge(read_settings(file), parse_assignments(["track.project=others"]))
    assert merged == {"track": "one", "track_options": {"project": "others"}}


@pytest.mark.parametrize(
    ("text", "options", "said", "step"),
    [
        ("one,one", {}, "names one more than once", "once"),
        ("one", {"rows": "3"}, "tracker one has no option 'rows'", "there is: place, project"),
        ("one,two", {"colour": "3"}, "trackers one, two have no option 'colour'", "place, project, rows"),
        ("two", {"rows": "0"}, "rows 0 is outside", "1 ≤ rows"),
        ("", {"rows": "3"}, "track.rows is an option of a tracker, and there is none", "--track"),
        ("absent", {}, "tracker absent needs no_such_module, which is not installed", "pip install it"),
        ("refuses", {}, "tracker refuses: there is no key here", "set SOME_KEY"),
    ],
)
def test_what_can_not_work_is_refused(text: str, options: dict[str, str], said: str, step: str) -> None:
    with pytest.raises(ConfigError) as refused:
        chosen.choose(text, options)
    assert said in refused.value.message
    assert step in refused.value.hint


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(PluginError, match="there is no tracker 'tensorbord'"):
        chosen.choose("tensorbord", {})


def test_a_run_asks_for_its_trackers_again(story: Story) -> None:
    change_config(story.run, track="one,two", track_options={"project": "my faces"})
    config = story.run.config
    assert config.command.endswith("--track one,two --set 'track.project=my faces'")
    assert config.form[1]["track.project"] == "my faces"
    assert chosen.notes(config) == ["track     one, two, track.project my faces"]
    assert chosen.notes(msgspec.structs.replace(config, track="", track_options={})) == []


def test_a_resume_takes_on_a_tracker_and_drops_one_with_its_options(story: Story) -> None:
    from arcterm.launch.resume import changes

    config = msgspec.structs.replace(
        story.run.config, track="one", track_options={"project": "faces", "place": "/p"}
    )
    changes.check_allowed(config, {"track": "two"}, "last")
    changed = changes._trackers(config, {"track": "two", "track_options": {"rows": "7"}})
    assert changed == {"track": "two", "track_options": {"rows": 7}}
    changed = changes._trackers(config, {"track_options": {"project": "others"}})
    assert changed == {"track": "one", "track_options": {"project": "others", "place": "/p"}}
    assert changes._trackers(config, {"track": ""}) == {"track": "", "track_options": {}}


@pytest.mark.parametrize("name", ["../../elsewhere", "..", "/etc", "a/b"])
def test_a_name_in_the_run_of_a_stranger_never_leads_out_of_it(story: Story, name: str) -> None:
    place = trackers.folder(story.run, name).resolve()
    assert place.is_relative_to((story.run.path / "trackers").resolve())


def test_the_form_has_the_options_of_the_trackers_that_are_named() -> None:
    from arcterm_registry import scan

    from arcterm.console.forms.training import Draft

    plugins = {kind: [] for kind in ("backbone", "loss", "dataset")} | {"tracker": scan("tracker")}
    draft = Draft(plugins, {"track": "one, two", "track.project": "faces", "track.rows": "0"})
    assert {"track.project", "track.place", "track.rows"} <= draft.fields().keys()
    assert draft.problem("track") == ""
    assert "1 ≤ rows" in draft.problem("track.rows")
    assert draft.settings() == {"track": "one, two", "track_options": {"project": "faces"}}
    draft.texts["track"] = "one,three"
    assert draft.problem("track") == "there is no tracker three"
    assert "track.rows" not in draft.fields()
