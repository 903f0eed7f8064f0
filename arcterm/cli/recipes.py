"""``arcterm recipes``: list recipes, show one, import one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from arcterm_registry import Recipe
from typer.core import TyperGroup

from arcterm import commandline
from arcterm.cli import completing
from arcterm.cli.options import Json
from arcterm.errors import ConfigError
from arcterm.launch.recipes import find, layer
from arcterm.show.output import put, put_json, say, table


class _Recipes(TyperGroup):
    """``arcterm recipes`` alone is ``list``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` in front unless a command or --help comes first."""
        own = {*self.commands, *ctx.help_option_names}
        bare = not args or (args[0] not in own and args[0].startswith("-"))
        return super().parse_args(ctx, ["list", *args] if bare else args)


recipes = typer.Typer(
    cls=_Recipes, subcommand_metavar="[show NAME | import CONFIG.py]", rich_markup_mode=None
)

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A recipe, by name or file.", autocompletion=completing.recipes),
]


@recipes.callback()
def options() -> None:
    """List the recipes of trainings, show one, or import one."""


@recipes.command("list")
def listed(as_json: Json = False) -> None:
    """List the recipes (the default)."""
    found = find.everything()
    if as_json:
        put_json([_described(one) for one in found])
        return
    put(*table(["NAME", "BACKBONE", "LOSS", "FROM", "WHAT"], [_row(one) for one in found]))
    for one in found:
        if one.error:
            say(f"recipe {one.name} of {one.package} is broken: {one.error}")


@recipes.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a recipe: what it sets, against the defaults."""
    listed = next((one for one in find.everything() if one.name == name), None)
    if listed is not None and listed.error:
        raise ConfigError(f"recipe {name} of {listed.package} is broken: {listed.error}", "repair its file")
    recipe = find.find(name)
    if as_json:
        put_json(_described(listed or find.Listed(name, "", recipe)))
        return
    put(f"recipe {name}{': ' * bool(recipe.summary)}{recipe.summary}")
    if listed:
        put(f"from {listed.package}")
    put(*(f"{what} {words}" for what, words in _facts(recipe).items() if words))
    put(*table(["SETTING", "RECIPE", "DEFAULT"], layer.against_defaults(recipe)))
    put(*(f"note {note}" for note in recipe.notes))
    put(commandline.training(recipe.values))


@recipes.command("import")
def imported(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.py", help="A config of arcface_torch.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Save it among your own recipes.", show_default=False)
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=1, help="How many GPUs it was for; its name, or 8.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print an arcface_torch config as a recipe, and what can't be taken over; it is read, not run."""
    from arcterm.launch.recipes import arcface, save

    found = arcface.read(config.expanduser(), gpus)
    path = save.save(name, found.recipe) if name else None
    if as_json:
        described = _described(find.Listed(name or config.stem, find.OWN if name else "", found.recipe))
        put_json(described | {"remarks": found.remarks, "path": str(path) if path else None})
        return
    say(*found.remarks)
    if path:
        say(f"saved {path}")
        put(f"arcterm train --recipe {name}")
    else:
        put(*save.toml(found.recipe).splitlines())


def _facts(recipe: Recipe) -> dict[str, str]:
    step = f"{recipe.global_batch:,} images" if recipe.global_batch else ""
    return {"source": recipe.source, "data": recipe.data, "a step has": step}


def _row(one: find.Listed) -> list[str]:
    settings = one.recipe.values if one.recipe else {}
    words = " ".join(f"BROKEN: {one.error}".split())[:100] if one.error else ""
    chosen = [str(settings.get(kind, "")) for kind in ("backbone", "loss")]
    return [one.name, *chosen, one.package, words or (one.recipe.summary if one.recipe else "")]


def _described(one: find.Listed) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": one.name, "from": one.package, "error": one.error or None}
    if one.recipe:
        facts |= {key: getattr(one.recipe, key) for key in ("summary", "source", "data", "global_batch")}
        facts |= {"notes": list(one.recipe.notes), "settings": dict(one.recipe.values)}
        facts["command"] = commandline.training(one.recipe.values)
    return facts
