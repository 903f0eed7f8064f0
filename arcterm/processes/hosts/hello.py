"""A host as it describes itself to the supervisor, and why one can't take part."""

from __future__ import annotations

import os
import socket
import time
from importlib import metadata

import msgspec
from arcterm_registry import PluginError, locate

from arcterm import gpus
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.inputs import sources
from arcterm.runs import dataset
from arcterm.runs.store import Run

MOST_APART, NOTED_APART = 30.0, 2.0
"""Seconds that clocks may be apart, and from which a note says so."""

_PACKAGES = ("arcterm", "torch", "numpy")


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says of itself: its `name`, `address` and clock `t`, its software, GPUs and data.

    `plugins` maps kind and name to distribution and version. `settings` and `data` say, in words, how what
    was asked for there and the data there differ from the run's. `trouble` is why it can't take part.
    """

    name: str
    address: str
    pid: int
    t: float
    versions: dict[str, str]
    plugins: dict[str, str] = {}
    gpus: list[str] = []
    data: str = ""
    settings: str = ""
    trouble: str = ""


def describe(run: Run, address: str, settings: str = "") -> Hello:
    """Describe this host; the data is looked at, which may take seconds."""
    config, trouble, data = run.record.config, "", ""
    try:
        known = dataset.current(run)
        if isinstance(config, TrainConfig) and known is not None:
            data = dataset.changed(known, sources.from_config(config).inspect())
        _try_to_write(run)
    except (ArctermError, PluginError) as error:
        trouble = error.message
    except OSError as error:
        trouble = f"{error.filename or run.path} can't be used: {error.strerror}"
    found = gpus.usable()[0] if config.gpus else []
    if not trouble and len(found) < len(config.gpus):
        trouble = f"{len(found)} GPUs can be used there, and {len(config.gpus)} are needed on each host"
    return msgspec.structs.replace(
        describe_software(run, address),
        gpus=[each.gpu.name for each in found],
        data=data,
        settings=settings,
        trouble=trouble,
    )


def describe_software(run: Run, address: str) -> Hello:
    """Describe this host without a look at its data."""
    return Hello(
        name=socket.gethostname(),
        address=address,
        pid=os.getpid(),
        t=time.time(),
        versions=_versions(),
        plugins=_plugins(run),
    )


def refusal(other: Hello, own: Hello, apart: float) -> tuple[str, str]:
    """Return why a host can't take part, and the next step; empty if it can.

    `apart` is how many seconds its clock is ahead of this one's.
    """
    if other.trouble:
        return other.trouble, "mend that there, and start the same command again"
    if abs(apart) > MOST_APART:
        order = "ahead of" if apart > 0 else "behind"
        return (
            f"its clock is {abs(apart):.0f} s {order} that of {own.name}",
            "set both by one time server (NTP)",
        )
    for what, here, there in (
        ("", own.versions, other.versions),
        ("plug-in ", own.plugins, other.plugins),
    ):
        for name in sorted({*here, *there}):
            if here.get(name) != there.get(name):
                return (
                    f"{what}{name} is {there.get(name) or 'missing'} there and "
                    f"{here.get(name) or 'missing'} on {own.name}",
                    "install the same version on every host",
                )
    if other.data:  # of which settings may follow
        return f"its data is not that of the run: {other.data}", "every host must see the same files"
    if other.settings:
        return f"other settings were asked for there: {other.settings}", "give the same command on every host"
    return "", ""


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plugins(run: Run) -> dict[str, str]:
    found = {}
    for kind, name in run.record.config.plugins:
        plugin = locate(kind, name)
        found[f"{kind} {name}"] = f"{plugin.distribution} {plugin.version}"
    return found


def _try_to_write(run: Run) -> None:
    """Raise OSError if this host can't write into the run's directory."""
    trial = run.path / f".trial-{socket.gethostname()}-{os.getpid()}"
    trial.touch(mode=0o600)
    trial.unlink()
