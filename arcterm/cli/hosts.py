"""Several hosts on the command line: --nnodes, --rdzv and --local-addr, and a host that joins a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcterm.errors import ConfigError
from arcterm.overrides import merge
from arcterm.settings import LOCAL
from arcterm.show.output import put, put_detached, say

if TYPE_CHECKING:
    from arcterm.config import TrainConfig
    from arcterm.launch.hosts.asked import AskedHosts
    from arcterm.runs.store import Run

_FLAGS = {
    "nnodes": (
        "--nnodes",
        "Hosts, N or MIN:MAX; the same command on each. --nproc and --gpus are those of each host then.",
    ),
    "rdzv": ("--rdzv", "HOST:PORT, an address of the first host, where the others find it."),
    "local_addr": ("--local-addr", "Address or interface by which the other hosts reach this one."),
}


def host_parameters() -> dict[str, Any]:
    """The annotations of the flags about hosts, by parameter."""
    return {
        name: Annotated[str | None, typer.Option(flag, help=words, show_default=False)]
        for name, (flag, words) in _FLAGS.items()
    }


def asked_hosts(given: dict[str, Any]) -> AskedHosts | None:
    """Take the flags about hosts out of what was `given`; None if there are none."""
    values = [given.pop(name) for name in _FLAGS]
    if not any(values):
        return None
    from arcterm.launch.hosts.asked import parse

    return parse(*values)


def for_launcher(
    settings: Mapping[str, Any], hosts: AskedHosts | None, launcher: str
) -> tuple[dict[str, Any], AskedHosts | None]:
    """Make --nnodes an option of a `launcher` that is not this machine: its hosts find each other.

    Raises `ConfigError` for a range, and for a place where they would meet.
    """
    if hosts is None or launcher == LOCAL:
        return dict(settings), hosts
    if hosts.meeting or hosts.local:
        raise ConfigError(
            f"--rdzv is for hosts on which the command is given by hand, and {launcher} starts these",
            "leave out --rdzv and --local-addr",
        )
    if hosts.least != hosts.most:
        raise ConfigError(
            f"--nnodes {hosts.least}:{hosts.most} is a range, and {launcher} is asked for a number of hosts",
            f"give --nnodes {hosts.most}",
        )
    return merge(settings, {"launcher_options": {"hosts": hosts.most}}), None


def join_run(
    config: TrainConfig,
    hosts: AskedHosts,
    root: Path,
    *,
    dry_run: bool,
    detach: bool,
    plain: bool,
    as_json: bool,
) -> None:
    """Join the run that the first host makes of the same command, and watch it."""
    from arcterm.launch.hosts import joining

    if dry_run:
        put(f"this host would join the run that {hosts.meeting} makes")
        return
    run = joining.find(hosts, root, say)
    settings = joining.differences(run, config)
    join(run, hosts, settings, detach=detach, plain=plain, as_json=as_json)


def join(
    run: Run, hosts: AskedHosts, settings: str = "", *, detach: bool, plain: bool, as_json: bool
) -> None:
    """Join a run, and watch it."""
    from arcterm.launch.hosts import joining

    joining.join(run, hosts, say, settings)
    if detach:
        put_detached(run, as_json)
        return
    from arcterm.cli.runs.watch import watch

    watch(run, plain=plain, as_json=as_json, owner=True)
