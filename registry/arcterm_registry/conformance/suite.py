"""The checks of each kind of plug-in, run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from arcterm_registry.conformance.findings import Check, Finding
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.declare import Backbone, Dataset, Declaration, Loss, Value
from arcterm_registry.discover import CHECKED, PluginError, get

Function = Callable[[Subject], str]


def checks(
    kind: str,
    plugin: str | Declaration,
    *,
    quick: bool = False,
    compiler: str = "inductor",
    **options: Value,
) -> list[Check]:
    """The checks of `plugin`, a registered name or a declaration, in the order in which they build up.

    `options` are the plug-in's own; a data set in a directory takes ``path``, and a detector that of its
    weights, which it else looks for. `quick` leaves out compiling
    and exporting; `compiler` is the backend of torch.compile. Raises `PluginError` for an unknown or broken
    plug-in and `OptionError` for an option it does not take.
    """
    if kind not in CHECKED:
        raise PluginError(f"there are no checks for a {kind}", f"there are for: {', '.join(CHECKED)}")
    declaration = get(kind, plugin) if isinstance(plugin, str) else plugin
    subject = Subject(
        kind=kind,
        name=plugin if isinstance(plugin, str) else "",
        declaration=declaration,
        options=options,
        quick=quick,
        compiler=compiler,
    )
    subject.settings()
    return [Check(function, subject) for function in _functions(declaration)]


def check(
    kind: str,
    plugin: str | Declaration,
    *,
    quick: bool = False,
    compiler: str = "inductor",
    **options: Value,
) -> Iterator[Finding]:
    """Make the `checks` of `plugin` one by one; those that need an earlier one that failed are skipped.

    A data set in a directory must be given its ``path``, else `PluginError`.
    """
    found = checks(kind, plugin, quick=quick, compiler=compiler, **options)
    declaration = found[0].subject.declaration
    if isinstance(declaration, Dataset) and declaration.takes_path and "path" not in options:
        raise PluginError(f"dataset {plugin!r} is checked with data", "give a directory: --path DIR")
    return run(found)


def run(found: list[Check]) -> Iterator[Finding]:
    """Make each check in turn; one that is not made, or fails, and that others rest on ends in their being
    skipped."""
    missing = ""
    for one in found:
        if missing:
            yield Finding(check=one.name, outcome="skipped", detail=f"rests on {missing}", seconds=0.0)
            continue
        finding = one.find()
        if finding.outcome in ("failed", "skipped") and one.is_foundation:
            missing = one.name
        yield finding


def _functions(declaration: Declaration) -> tuple[Function, ...]:
    """The kind's checks. What they need is imported here: a data set is checked without torch."""
    tuples = isinstance(declaration, Loss) and declaration.form == "tuples"
    modules = ["declared", "tuples" if tuples else declaration.kind]
    modules += ["deployed"] if isinstance(declaration, Backbone) else []
    found = [import_module(f"arcterm_registry.conformance.{name}").CHECKS for name in modules]
    return tuple(function for functions in found for function in functions)
