"""The checks of the launch form that take time: the name, the data set, the whole plan. No Textual."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from arcterm_registry import Option, PluginError, get, names

from arcterm.config import field_text
from arcterm.console.forms import fixes
from arcterm.console.forms.draft import Verdict
from arcterm.console.forms.fixes import Fix
from arcterm.errors import ArctermError
from arcterm.inputs import sources
from arcterm.launch.estimate.assess import Look
from arcterm.launch.plan import DEFAULT_DATASET, Plan, make_plan
from arcterm.launch.recipes import layer
from arcterm.overrides import OPTION_GROUPS
from arcterm.runs import store
from arcterm.settings import SETTINGS

_MOST_NEIGHBOURS = 1000
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def judge(settings: Mapping[str, Any], root: Path, look: Look = "quick") -> Verdict:
    """Check what is asked for, with a way out of each problem where one is known.

    `look` is how close the memory is looked at.
    """
    problems: dict[str, str] = {}
    found: dict[str, Fix] = {}
    checks: dict[str, tuple[Callable[[], object], Callable[[], str]]] = {
        "name": (lambda: store.check_name(root, _name(settings)), lambda: _free_name(root, _name(settings))),
        "dataset": (lambda: _check_dataset(settings), lambda: _near_dataset(settings)),
    }
    for key, (check, near) in checks.items():
        try:
            check()
        except (ArctermError, PluginError) as error:
            problems[key] = _sentence(error)
            found |= {key: Fix({key: text})} if (text := near()) else {}
    if problems:
        return Verdict(problems=problems, fixes=found)
    try:
        return _of_plan(make_plan(settings, root=root, look=look))
    except (ArctermError, PluginError) as error:
        return _of_error(error, _options(settings))


def _of_plan(plan: Plan) -> Verdict:
    """The verdict on a plan, which may find too little memory or disk, or what its launcher finds."""
    if plan.refusal:
        return Verdict(plan=plan, problems={"launcher": _sentence(plan.refusal)})
    if not plan.estimate.problem:
        return Verdict(plan=plan)
    change = {key: "" if value is None else field_text(value) for key, value in plan.estimate.change.items()}
    fixed = {"batch_size": Fix(change)} if change else {}
    return Verdict(plan=plan, problems={"batch_size": plan.estimate.problem}, fixes=fixed)


def _of_error(error: ArctermError | PluginError, options: Mapping[str, Option]) -> Verdict:
    """The verdict on settings that can't be, beside the field that is to blame where that can be known."""
    change = fixes.advised(error.hint, options)
    key = fixes.field_of(error.message, options) or next(iter(change), "")
    key = key or fixes.field_of(error.hint, options)
    return Verdict(problems={key: _sentence(error)}, fixes={key: Fix(change)} if change else {})


def _options(settings: Mapping[str, Any]) -> dict[str, Option]:
    """The options of all fields, by key."""
    found = {option.name: option for option in SETTINGS}
    for kind in (*OPTION_GROUPS, "launcher"):
        with suppress(PluginError):
            declared = get(kind, str(settings.get(kind)))
            found |= {f"{kind}.{option.name}": option for option in declared.options}
    return found


def _check_dataset(settings: Mapping[str, Any]) -> None:
    text = layer.dataset(settings) or DEFAULT_DATASET
    sources.find(text, settings.get("dataset_options", {}))


def _near_dataset(settings: Mapping[str, Any]) -> str:
    """An installed data set, or a neighbour of a path that is not there, of nearly that name."""
    text = layer.dataset(settings)
    path = Path(text).expanduser()
    if "/" not in text:
        return fixes.nearest(text, names("dataset"))
    try:
        beside = [each.name for _, each in zip(range(_MOST_NEIGHBOURS), path.parent.iterdir(), strict=False)]
    except OSError:
        return ""
    near = fixes.nearest(path.name, beside)
    return str(path.with_name(near)) if near and near != path.name else ""


def _name(settings: Mapping[str, Any]) -> str:
    return str(settings.get("name", ""))


def _free_name(root: Path, name: str) -> str:
    """A name like `name` that no run has, of characters that a name may have."""
    taken = {run.name for run in store.list_runs(root)}
    stem = _NO_NAME.sub("-", name).strip("-")[:90] or "run"
    if stem not in {*taken, "last"}:
        return stem
    stem = re.sub(r"-\d+$", "", stem)
    return next(made for number in itertools.count(2) if (made := f"{stem}-{number}") not in taken)


def _sentence(error: ArctermError | PluginError) -> str:
    """Message and hint; the hint names flags, which are called as the fields are."""
    return f"{error.message}: {error.hint}" if error.hint else error.message
