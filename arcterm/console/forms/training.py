"""State of the launch form: its texts, their problems, and the settings they ask for. No Textual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from arcterm_registry import Backbone, Declaration, Option, OptionError, Plugin, Recipe, scan

from arcterm import commandline
from arcterm.console.forms import fixes, recipedraft
from arcterm.console.forms.draft import ChangedField, Field, FormDraft
from arcterm.console.forms.fixes import Fix
from arcterm.errors import ArctermError
from arcterm.launch.recipes import layer
from arcterm.launch.recipes.find import Listed
from arcterm.overrides import OPTION_GROUPS, indices
from arcterm.runs import trackers
from arcterm.schedules.clock import parse_times
from arcterm.schedules.ramp import RAMPS, parse_points
from arcterm.settings import SETTINGS

DEPENDED_ON = (*OPTION_GROUPS, "track", "launcher")
_CHOSEN = (*OPTION_GROUPS, "launcher")
"""The fields below which stand the options of what is chosen in them."""

_ONLY_FOR = {
    "power": ("poly",),
    "final_rate": ("cosine", "linear"),
    "milestones": ("multistep",),
    "gamma": ("multistep",),
}
_BY_NAME = {option.name: option for option in SETTINGS}
_USUAL = {option.name: Field(key=option.name, option=option).placeholder for option in SETTINGS}
LISTS: dict[str, Callable[[str, str], object]] = {
    "gpus": indices,
    "milestones": parse_times,
    **dict.fromkeys(RAMPS, parse_points),
}
_NAME = Option(name="name", type=str, default=None, help="what to call the run; its id if empty")
_RECIPE = Option(
    name="recipe", type=str, default=None, help="fields that are left empty are as it says; none is needed"
)


class Basis(NamedTuple):
    """What a form was filled from: the name of a run, and its texts by field."""

    name: str
    texts: Mapping[str, str]


@dataclass
class Draft(FormDraft):
    """The launch form's texts, and the plug-ins and recipes that it offers, by kind and by name.

    `basis` is the run that it forks; None of one that begins with defaults or a recipe.
    """

    plugins: dict[str, list[Plugin]]
    texts: dict[str, str] = field(default_factory=dict)
    recipes: dict[str, Listed] = field(default_factory=dict)
    basis: Basis | None = None
    _made: tuple[dict[str, str], dict[str, Field]] | None = field(default=None, repr=False)

    @property
    def recipe(self) -> Recipe | None:
        """The chosen recipe; None if there is none or it is broken."""
        chosen = self.recipes.get(self.text("recipe"))
        return chosen.recipe if chosen else None

    def load(self, name: str) -> None:
        """Choose a recipe; the fields that it sets are emptied, so that it holds."""
        self.texts["recipe"] = name
        for key in layer.flat(self.recipe.values) if self.recipe else ():
            self.texts.pop(key, None)

    def shown(self, key: str) -> str:
        """The text of a field, or else what the recipe says."""
        return self.text(key) or recipedraft.placeholders(self.recipe, self.texts).get(key, "")

    def plugin(self, kind: str) -> Plugin | None:
        """The chosen plug-in of a kind; None if the text names none (a dataset may be a path)."""
        chosen = self.shown(kind)
        return next((p for p in self.plugins.get(kind, []) if chosen in (p.unique_name, p.full_name)), None)

    def declaration(self, kind: str) -> Declaration | None:
        """Declaration of the chosen plug-in; None if there is none or it is broken."""
        plugin = self.plugin(kind)
        return plugin.declaration if plugin else None

    def choices(self, kind: str) -> list[tuple[str, str]]:
        """(label, name) of every plug-in or recipe of a kind; broken ones are marked."""
        if kind == "recipe":
            return [(name + "  (broken)" * bool(one.error), name) for name, one in self.recipes.items()]
        return [
            (p.unique_name + ("  (broken)" if p.error else ""), p.unique_name)
            for p in self.plugins.get(kind, [])
        ]

    def options(self, kind: str) -> list[Field]:
        """The fields of the chosen plug-in's own options."""
        if kind == "track":
            return self._tracker_options()
        declared = self.declaration(kind)
        found = declared.options if declared else ()
        return [Field(key=f"{kind}.{o.name}", option=o) for o in found if o.name != "path"]

    def fields(self) -> dict[str, Field]:
        if self._made is None or self._made[0] != self.texts:  # they are asked for at every turn
            self._made = dict(self.texts), self._fields()
        return self._made[1]

    def _fields(self) -> dict[str, Field]:
        found = [Field(key=option.name, option=option) for option in SETTINGS]
        found += [option for kind in DEPENDED_ON for option in self.options(kind)]
        found += [Field(key="name", option=_NAME), Field(key="recipe", option=_RECIPE)]
        said = recipedraft.placeholders(self.recipe, self.texts)
        return {f.key: recipedraft.with_default(f, said.get(f.key)) for f in found}

    def relevant(self, key: str) -> bool:
        schedule = self.shown("schedule") or _BY_NAME["schedule"].default
        return key not in _ONLY_FOR or schedule in _ONLY_FOR[key]

    def problem(self, key: str) -> str:
        text = self.text(key)
        if key in _CHOSEN:
            return self._plugin_problem(key, text)
        if key == "steps" and text and self.text("epochs"):
            return "give epochs or steps, not both"
        if key == "recipe" and text:
            chosen = self.recipes.get(text)
            return chosen.error if chosen else f"there is no recipe {text}"
        problem = super().problem(key)
        if key == "track":
            known = [name for _, name in self.choices("tracker")]
            unknown = [name for name in trackers.names(text) if name not in known]
            return f"there is no tracker {unknown[0]}" if unknown else problem
        if text and not problem and key in LISTS and self.relevant(key):
            try:
                LISTS[key](text, key)
            except ArctermError as error:
                return error.message
        return problem

    def problems(self) -> dict[str, str]:
        chosen = {kind: problem for kind in _CHOSEN if (problem := self.problem(kind))}
        return {**chosen, **super().problems()}

    def fix(self, key: str) -> Fix | None:
        text = self.text(key)
        if not self.problem(key):
            return None
        if key == "steps" and self.text("epochs"):
            return Fix({key: ""})
        if key in (*_CHOSEN, "recipe"):
            working = [name for label, name in self.choices(key) if label == name]
            near = fixes.nearest(text, [name for name in working if name != text])
            return Fix({key: near}) if near else None
        return super().fix(key)

    def differences(self) -> list[ChangedField]:
        """The fields that say something else than the forked run, the recipe or the defaults."""
        said = {} if self.basis else recipedraft.placeholders(self.recipe, self.texts)
        found = []
        for key, entry in self.fields().items():
            usual = _USUAL.get(key, entry.placeholder) if self.basis else entry.placeholder
            before = self.basis.texts.get(key, usual) if self.basis else said.get(key, usual)
            now = self.text(key) or entry.placeholder
            if key not in ("name", "recipe") and not _same(entry.option, before, now):
                found.append(ChangedField(key, before, now))
        return [*self._chosen_otherwise(), *found]

    def named(self, key: str) -> Field:
        """A field that is no setting, but the choice of a plug-in."""
        return self.fields()["name"].renamed(key)

    @property
    def begins_with(self) -> str:
        """What the differences are to: the run that was forked, the recipe, or the defaults."""
        return self.basis.name if self.basis else self.text("recipe") or "the defaults"

    def _chosen_otherwise(self) -> list[ChangedField]:
        """The backbone, loss and data set, where they are not the ones that the form began with."""
        if self.basis is None and self.recipe is None:
            return []
        values = self.basis.texts if self.basis else layer.flat(self.recipe.values if self.recipe else {})
        found = [ChangedField(kind, str(values.get(kind, "")), self.shown(kind)) for kind in OPTION_GROUPS]
        return [each for each in found if each.before != each.now]

    def note(self, key: str) -> str:
        if key == "recipe" and self.recipe:
            return "; ".join(filter(None, (self.recipe.summary, self.recipe.data)))
        noted = key in OPTION_GROUPS or (key == "launcher" and self.declaration(key))
        return self._plugin_note(key) if noted else super().note(key)

    def settings(self) -> dict[str, Any]:
        """Settings for `make_plan` and `commandline.training`; fields with a problem are left out."""
        found: dict[str, Any] = {kind: self.texts[kind] for kind in OPTION_GROUPS if self.texts.get(kind)}
        for key, entry in self.fields().items():
            text = self.text(key)
            if not text or self.problem(key) or not self.relevant(key):
                continue
            group, dot, name = key.partition(".")
            value = entry.option.parse(text)
            if dot:
                found.setdefault(f"{group}_options", {})[name] = value
            else:
                found[key] = value
        return found

    def command(self) -> str:
        settings = self.settings()
        if settings.get("backbone") or settings.get("loss"):  # a command names both or none
            settings |= {kind: self.shown(kind) for kind in ("backbone", "loss")}
        return commandline.training(settings)

    def as_recipe(self, images: int) -> Recipe:
        """What the form asks for, as a recipe for steps of `images` images."""
        return recipedraft.recipe_of(self.settings(), self.recipe, images)

    def _tracker_options(self) -> list[Field]:
        """The fields of the options of all trackers that are named, each once."""
        chosen = trackers.names(self.texts.get("track", ""))
        declared = [p.declaration for p in self.plugins["tracker"] if p.unique_name in chosen]
        options = {option.name: option for one in declared if one for option in one.options}
        return [Field(key=f"track.{name}", option=option) for name, option in options.items()]

    def _plugin_problem(self, kind: str, text: str) -> str:
        plugin = self.plugin(kind)
        if plugin and plugin.error:
            return f"{plugin.distribution} {plugin.version} is broken: {plugin.error}"
        if kind == "launcher":
            return f"there is no launcher {text}" if text and not plugin else ""
        if not self.shown(kind) and kind != "dataset":
            return f"choose a {kind}"
        return ""

    def _plugin_note(self, kind: str) -> str:
        declared = self.declaration(kind)
        if isinstance(declared, Backbone):
            h, w = declared.input_size
            size = f"{declared.parameters / 1e6:.1f} M parameters, {declared.gmacs:.2f} GMACs"
            return f"{declared.summary}: {size}, {declared.embedding_size}-d, {h}×{w}"
        if declared:
            return declared.summary
        known = ", ".join(name for _, name in self.choices(kind))
        return f"a directory, or one of: {known or 'none installed'}" if kind == "dataset" else ""


def installed() -> dict[str, list[Plugin]]:
    """The plug-ins that a form offers, broken ones included. Imports their declarations.

    The kinds are looked through side by side, so that imports that hang cost the time limit once.
    """
    kinds = (*OPTION_GROUPS, "tracker", "launcher")
    with ThreadPoolExecutor(len(kinds)) as threads:
        return dict(zip(kinds, threads.map(scan, kinds), strict=True))


def _same(option: Option, first: str, second: str) -> bool:
    """Whether two texts mean the same value."""
    if first.strip() == second.strip():
        return True
    try:
        return option.parse(first) == option.parse(second)
    except OptionError:
        return False
