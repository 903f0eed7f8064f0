"""The launcher of a run, by name and options, and where a run of it works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from arcterm_registry import Launcher, get

from arcterm.commandline import Value, written
from arcterm.config import Config, registered
from arcterm.errors import ConfigError
from arcterm.launch import devices
from arcterm.launch.choice import Devices, devices_for
from arcterm.overrides import options_for
from arcterm.settings import LOCAL

_MOST = 1 << 16


class Chosen(NamedTuple):
    """A launcher that was chosen: the `name` that was given, its declaration, and all of its options."""

    name: str
    declared: Launcher
    options: dict[str, Value]

    @property
    def placement(self) -> dict[str, Any]:
        """The fields of a config that name it."""
        return {"launcher": self.name, "launcher_options": self.options}


def parse_options(assignments: Iterable[str]) -> dict[str, str]:
    """The options of a launcher that ``KEY=VALUE`` texts give; raises `ConfigError`."""
    given = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"option {text!r} of the launcher has no '='", "write KEY=VALUE")
        given[key.strip()] = value.strip()
    return given


def choose(name: str | None, given: Mapping[str, Any]) -> Chosen:
    """The launcher called `name` with the options `given`; raises `ConfigError` or `PluginError`."""
    name = LOCAL if name in (None, "", registered(LOCAL)) else name
    declared = get("launcher", registered(name))
    if given and name == LOCAL:
        raise ConfigError(
            f"launcher.{next(iter(given))} is an option of another launcher, and none is chosen",
            "give --launcher too",
        )
    owner = f"launcher {name}"
    options = options_for(declared.options, given, owner)
    try:
        declared.check_together(options)
    except ValueError as error:
        problem, _, step = str(error).partition(" → ")
        raise ConfigError(f"{owner}: {problem}", step or "change an option launcher.KEY") from None
    return Chosen(name, declared, options)


def place(chosen: Chosen, gpus: str | None, nproc: int | None) -> Devices:
    """Where a run works: on `gpus` of this machine, or on others as a remote launcher's options say.

    There `nproc` are the ranks of each host, and GPUs have one each. Raises `ConfigError` if that can't be.
    """
    if not chosen.declared.remote:
        return devices_for(gpus, nproc)
    hosts, each = (_count(chosen, name) for name in ("hosts", "gpus"))
    if gpus and gpus != "none":
        raise ConfigError(
            f"--gpus {gpus} names GPUs of this machine, and {chosen.name} works on others",
            "give launcher.gpus=N, the GPUs of each host",
        )
    if each and (gpus == "none" or nproc not in (None, each)):
        asked = "--gpus none" if gpus == "none" else f"--nproc {nproc}"
        raise ConfigError(
            f"{asked} with {each} GPUs on each host, which have a rank each",
            "leave it out, or change launcher.gpus",
        )
    ranks = each or nproc or 1
    return Devices(list(range(each)), hosts * ranks, _words(chosen, hosts, ranks, each), hosts)


def threads(config: Config) -> int:
    """CPU threads of each rank: as its launcher's option says, else 1 on a GPU, else a share of the cores."""
    if isinstance(asked := config.launcher_options.get("threads"), int) and asked > 0:
        return asked
    return 1 if config.gpus else devices.threads_of_rank(config.ranks_each)


def notes(config: Config) -> list[str]:
    """A line of a plan with the launcher and what it was given; none for this machine."""
    given = [f"{key} {written(value)}" for key, value in config.launching.get("launcher_options", {}).items()]
    return [] if config.is_local else [f"launcher  {', '.join([config.launcher, *given])}"]


def _count(chosen: Chosen, name: str) -> int:
    """A number of a remote launcher's options."""
    value = chosen.options.get(name)
    least = 1 if name == "hosts" else 0
    if type(value) is not int or not least <= value <= _MOST:
        raise ConfigError(f"launcher {chosen.name}: {value} {name}", f"change launcher.{name}")
    return value


def _words(chosen: Chosen, hosts: int, ranks: int, gpus: int) -> str:
    what = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else f"{ranks} CPU rank{'s' * (ranks > 1)}"
    machines = f"{hosts} host{'s' * (hosts > 1)} of {chosen.name}"
    return f"{what} on {'each of ' * (hosts > 1)}{machines}, which this machine does not look at"
