"""The registry: kinds, the plug-ins of one, the one under the cursor, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from arcterm_registry import KINDS, Backbone, JobSpec, Loss, Plugin, Recipe
from rich.cells import cell_len

from arcterm.console.panels.listing import first_row
from arcterm.show.lines import Line, heading, pad, shorten, spread, wrap
from arcterm.show.plugins import Health, allowed, check_command, defaults
from arcterm.text import clean

CHECKED = ("backbone", "loss", "dataset", "job", "detector", "tracker", "launcher")
"""The kinds that can be tried out."""
_ROLES = {"ok": "good", "broken": "bad", "hangs": "bad", "shadowed": "warn", "lacking": "warn"}
_SIGNS = {"ok": "✓", "broken": "✗", "hangs": "✗", "shadowed": "!", "lacking": "!"}
_STATE = 10


def title(found: Mapping[str, Sequence[Plugin]], states: Sequence[str], width: int) -> list[Line]:
    """How many plug-ins there are of how many packages, and how many of them don't work."""
    plugins = [plugin for of_kind in found.values() for plugin in of_kind]
    packages = len({plugin.distribution for plugin in plugins})
    looking = "" if len(found) == len(KINDS) else " …"
    said = f"{len(plugins)} plug-ins of {packages} package{'s' * (packages != 1)}{looking}"
    counts = Counter(states)
    wrong = ", ".join(f"{counts[state]} {state}" for state in _ROLES if state != "ok" and counts[state])
    return [spread([("registry", "head"), (said, "dim")], [(wrong, "bad")], width)]


def kinds(found: Mapping[str, Sequence[Plugin]], chosen: str, width: int) -> list[Line]:
    """A tab for each kind with the number of its plug-ins; those that fit around the chosen one."""
    texts = [f"{kind} {len(found[kind])}" if kind in found else f"{kind} …" for kind in KINDS]
    first = list(KINDS).index(chosen)
    start = 0
    while start < first and sum(cell_len(text) + 3 for text in texts[start : first + 1]) > width - 2:
        start += 1
    line: Line = [("‹" if start else " ", "dim")]
    for kind, text in list(zip(KINDS, texts, strict=True))[start:]:
        marked = f"[{text}]" if kind == chosen else f" {text} "
        line.append((marked + " ", "head" if kind == chosen else "dim"))
    return [line]


def table(
    plugins: Sequence[tuple[Plugin, Health]] | None, cursor: int, width: int, height: int, filtered: bool
) -> list[Line]:
    """A heading, and as many plug-ins as fit around the cursor: name, package, state."""
    if plugins is None:
        return [[("  looking for plug-ins …", "dim")]]
    if not plugins:
        words = (
            "none of these; esc shows all"
            if filtered
            else "none is installed; docs/plugins.md says how to begin one"
        )
        return [[(f"  {words}", "dim")]]
    longest = max(cell_len(clean(plugin.unique_name)) for plugin, _ in plugins)
    name = max(12, min(28, longest, width - _STATE - 18))
    package = max(0, width - name - _STATE - 5)
    lines: list[Line] = [[(pad(f"  {pad('name', name)} {pad('package', package)} state", width), "dim")]]
    first = first_row(len(plugins), cursor, height)
    for index, (plugin, state) in enumerate(plugins[first : first + height - 1], first):
        at = index == cursor
        from_ = f"{plugin.distribution} {plugin.version}"
        lines.append(
            [
                ("▸ " if at else "  ", "cursor" if at else ""),
                (pad(clean(plugin.unique_name), name), "cursor" if at else "bold"),
                (" " + pad(clean(from_), package), "cursor" if at else "dim"),
                (f" {_SIGNS[state.state]} {state.state}", _ROLES[state.state]),
            ]
        )
    return lines


def detail(plugin: Plugin, width: int) -> list[Line]:
    """The plug-in's summary, facts and options, in as many lines as they take."""
    declared = plugin.declaration
    lines: list[Line] = [heading(clean(plugin.unique_name), width, clean(plugin.kind))]
    if declared is not None:
        lines += [[(f" {row}", "bold")] for row in wrap(clean(declared.summary), width - 2)]
    for what, words in _facts(plugin).items():
        rows = wrap(clean(words), width - 11) if words else []
        lines += [[(f" {pad(what if i == 0 else '', 9)} ", "dim"), (row, "")] for i, row in enumerate(rows)]
    options = declared.options if declared is not None else ()
    if options:
        lines += [[], [(" options", "accent")]]
    for option in options:
        value = f"{defaults(option)}   {allowed(option)}"
        lines.append([(f" {pad(option.name, 16)} ", "bold"), (shorten(value, width - 19), "")])
        lines += [[(f"   {row}", "dim")] for row in wrap(clean(option.help), width - 4)]
    return lines


def trouble(plugin: Plugin, state: Health, width: int, height: int) -> list[Line]:
    """Why a plug-in can't be used, and what to do; the rest of the console is not affected."""
    if state.state == "ok":
        return []
    rows = [f"{clean(state.reason)}"]
    name = f"{state.state}: {plugin.full_name}"
    lines: list[Line] = [heading(clean(name), width, "y copies the first remedy", _ROLES[state.state])]
    lines += [[(f" {row}", "")] for text in rows for row in wrap(text, width - 2)][: max(1, height - 3)]
    cures = [*state.remedies, *([check_command(plugin)] if plugin.kind in CHECKED else [])]
    lines += [[(" → ", "accent"), (shorten(clean(cure), width - 4), "accent")] for cure in cures]
    return lines[:height]


def _facts(plugin: Plugin) -> dict[str, str]:
    declared = plugin.declaration
    found = {
        "from": f"{plugin.distribution} {plugin.version}",
        "is": plugin.target,
        "at": str(plugin.path.parent),
    }
    if isinstance(declared, Backbone):
        height, width = declared.input_size
        found["size"] = f"{declared.parameters / 1e6:.1f} M parameters, {declared.gmacs:.2f} GMACs"
        found["shape"] = f"{width}×{height} → {declared.embedding_size} numbers"
        found["usual"] = ", ".join(f"{key} {value}" for key, value in declared.usual.items())
    if isinstance(declared, Loss):
        found |= {"paper": declared.paper, "form": declared.form}
    if isinstance(declared, JobSpec):
        found["paths"] = ", ".join(f"{path.name}{' …' * path.many}" for path in declared.paths)
    if isinstance(declared, Recipe):
        found |= {"source": declared.source, "data": declared.data}
        found["sets"] = ", ".join(f"{key} {value}" for key, value in declared.values.items())
    return found
