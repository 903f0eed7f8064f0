"""``arcterm plugins``: list plug-ins, check one, begin one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from arcterm_registry import (
    KINDS,
    Backbone,
    Detector,
    JobSpec,
    Loss,
    Option,
    Plugin,
    PluginError,
    get,
    nearest,
    scan,
)
from typer.core import TyperGroup

from arcterm.cli import completing
from arcterm.cli.options import Json
from arcterm.show import plugins as shown
from arcterm.show.output import put, put_json, say, say_waiting, table


class _Plugins(TyperGroup):
    """``arcterm plugins [KIND] [NAME]`` is ``list``, unless a command of the group comes first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` in front unless a command or --help comes first."""
        own = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in own else ["list", *args])


plugins = typer.Typer(
    cls=_Plugins, subcommand_metavar="[KIND] [NAME] | check NAME | new KIND NAME", rich_markup_mode=None
)


@plugins.callback()
def options() -> None:
    """List what can be picked, check a plug-in, or begin one of your own."""


@plugins.command("list")
def listed(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help=f"One of {', '.join(KINDS)}.",
            show_default=False,
            autocompletion=completing.kinds,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One of them, with its options.",
            show_default=False,
            autocompletion=completing.plugins,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what can be picked; with NAME, one with its options (the default)."""
    chosen = (kind or "").removesuffix("s") or None
    chosen = "loss" if chosen == "losse" or kind == "loss" else chosen
    if chosen is not None and chosen not in KINDS:
        raise PluginError(
            f"there is no kind {kind!r}", nearest(str(kind), KINDS).replace("installed", "kinds")
        )
    found = [plugin for one in ([chosen] if chosen else KINDS) for plugin in scan(one)]
    if name is not None:
        found = [plugin for plugin in found if name in (plugin.name, plugin.full_name)]
        if not found:
            get(chosen or "", name)  # raises the error
    if as_json:
        put_json([_describe(plugin) for plugin in found])
        return
    if name is not None:
        for plugin in found:
            _page(plugin)
        return
    rows = [[p.kind, p.unique_name, f"{p.distribution} {p.version}", _words(p)] for p in found]
    put(*table(["KIND", "NAME", "FROM", "WHAT"], rows))
    if chosen == "detector":
        put(
            *(f"{p.name}: {_weights(p.declaration)[1]}" for p in found if isinstance(p.declaration, Detector))
        )
    broken = [plugin for plugin in found if plugin.error]
    for plugin in broken:
        say(f"{plugin.kind} {plugin.name} of {plugin.distribution} ({plugin.path}) is broken: {plugin.error}")
        say(*(f"  → {remedy}" for remedy in shown.health(plugin).remedies))
    if not found:
        say(f"no {chosen} is installed")


@plugins.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A backbone, loss, data set, job, detector, tracker or launcher.",
            autocompletion=completing.plugins,
        ),
    ],
    kind: Annotated[
        str | None, typer.Option("--kind", help="If several kinds have one of that name.", show_default=False)
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option("--path", help="A data set's directory; a detector's weights.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE for an option of the plug-in.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out compiling and exporting.")] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1, help="Seconds that all checks may take together.")
    ] = 600,
    as_json: Json = False,
) -> None:
    """Try a plug-in out and say what does not hold."""
    from arcterm.cli import conformance

    trial = conformance.Trial(
        kind=conformance.kind_of(name, kind),
        name=name,
        path=str(path.expanduser().resolve()) if path else "",
        options=tuple(settings or ()),
        quick=quick,
        time_limit=time_limit,
    )
    say_waiting(f"checking {name}")
    findings = []
    for finding in trial.run():
        findings.append(finding)
        if not as_json:
            put(*conformance.lines(finding))
    passed = not any(finding["outcome"] == "failed" for finding in findings)
    if as_json:
        put_json({"kind": trial.kind, "name": name, "passed": passed, "findings": findings})
    else:
        put(conformance.summary(findings))
    if not passed:
        raise typer.Exit(3)


@plugins.command()
def new(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="backbone, loss, dataset, job, detector, tracker or launcher."),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it will be called.")],
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to write it; ./arcterm-NAME.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a package for a plug-in of your own."""
    from arcterm import scaffold

    place = directory or Path(f"arcterm-{name}")
    scaffold.write(kind, name, place)
    following = scaffold.next_commands(kind, name, place)
    if as_json:
        put_json({"kind": kind, "name": name, "path": str(place.resolve()), "next": following})
        return
    say(f"{place} has a {kind} that works as it is. Next:")
    for command in following:
        put(command)


def _page(plugin: Plugin) -> None:
    """Print one plug-in in full: summary, distribution, options."""
    put(f"{plugin.kind} {plugin.unique_name}: {_words(plugin)}")
    put(f"from {plugin.distribution} {plugin.version}")
    if isinstance(plugin.declaration, Loss) and plugin.declaration.paper:
        put(f"paper {plugin.declaration.paper}")
    if isinstance(plugin.declaration, Detector):
        put(_weights(plugin.declaration)[1])
    if isinstance(plugin.declaration, JobSpec):
        for path in plugin.declaration.paths:
            put(f"path {path.name}{' …' * path.many}: {path.help}")
    options = plugin.declaration.options if plugin.declaration else ()
    rows = [[o.name, shown.defaults(o), shown.allowed(o), o.help] for o in options]
    put(*table(["OPTION", "DEFAULT", "ALLOWED", "MEANING"], rows) if rows else ["nothing to set"])


def _weights(detector: Detector) -> tuple[str | None, str]:
    """Find the path of its weights, and say it, or how to get them."""
    try:
        found = detector.find_weights()
    except Exception as error:  # noqa: BLE001  whatever a stranger's search raises
        return None, f"its weights can't be looked for: {type(error).__name__}: {error}"
    if found is None:
        return None, f"no weights here; {detector.advice}" if detector.advice else "no weights here"
    return found, f"weights: {found}" if found else "needs no weights"


def _words(plugin: Plugin) -> str:
    if plugin.error:
        return "BROKEN: " + " ".join(plugin.error.split())[:100]
    return plugin.declaration.summary if plugin.declaration else ""


def _describe(plugin: Plugin) -> dict[str, Any]:
    declared = plugin.declaration
    names = ("kind", "name", "full_name", "distribution", "version", "target", "duplicate")
    facts: dict[str, Any] = {name: getattr(plugin, name) for name in names} | {"error": plugin.error or None}
    found = shown.health(plugin)
    facts |= {"state": found.state, "remedies": list(found.remedies)}
    if declared is not None:
        facts |= {
            "summary": declared.summary,
            "factory": declared.factory,
            "options": [_describe_option(option) for option in declared.options],
        }
    if isinstance(declared, Loss):
        facts |= {"paper": declared.paper, "form": declared.form}
    if isinstance(declared, Detector):
        facts |= {"weights": _weights(declared)[0], "advice": declared.advice}
    if isinstance(declared, JobSpec):
        facts |= {"group": declared.group, "ranks": declared.ranks}
        facts["paths"] = [asdict(path) for path in declared.paths]
    if isinstance(declared, Backbone):
        facts |= {name: getattr(declared, name) for name in ("parameters", "gmacs", "embedding_size")}
        facts["input_size"] = list(declared.input_size)
    return facts


def _describe_option(option: Option) -> dict[str, Any]:
    facts = {"name": option.name, "type": option.type.__name__, "default": option.default}
    return facts | {"range": option.range, "help": option.help}
