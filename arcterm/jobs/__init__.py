"""The jobs that come with arcterm, as declarations: paths, options, and the function that does them.

Nothing here imports that function. A file for each group of jobs; begin with `offered`.
"""

from __future__ import annotations

from arcterm_registry import JobSpec, Plugin, scan

from arcterm.jobs.data import bench, bin, check, extract, index, merge, pack, split
from arcterm.jobs.evaluate import identify, ijb, tinyface
from arcterm.jobs.faces import align, verify
from arcterm.jobs.megaface import clean, convert, export, score

__all__ = [
    "align",
    "bench",
    "bin",
    "check",
    "clean",
    "convert",
    "export",
    "extract",
    "identify",
    "ijb",
    "index",
    "merge",
    "offered",
    "pack",
    "score",
    "split",
    "tinyface",
    "verify",
]

ALONE = ("align", "verify", "identify")
"""Our jobs with a command of their own that is made of the declaration, as all others are."""

_OURS = (
    *("pack", "bin", "check", "merge", "split", "extract", "index", "bench"),
    *("align", "verify", "identify", "ijb", "tinyface"),
    *("export", "clean", "score", "convert"),
)
"""In the order in which they are listed."""


def offered(group: str | None = None) -> dict[str, JobSpec]:
    """Every installed job whose command is made of its declaration, or those below the command `group`."""
    found = {p.unique_name: p for p in scan("job")}
    specs = {
        name: plugin.declaration
        for name, plugin in found.items()
        if isinstance(plugin.declaration, JobSpec) and (plugin.declaration.group or _is_alone(plugin))
    }
    ours_first = sorted(specs, key=lambda name: (_OURS.index(name) if name in _OURS else len(_OURS), name))
    return {name: specs[name] for name in ours_first if group in (None, specs[name].group)}


def _is_alone(plugin: Plugin) -> bool:
    return plugin.distribution == "arcterm" and plugin.name in ALONE
