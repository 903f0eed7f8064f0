"""Where a run works, and the plug-ins that a config names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arcterm_registry import Declaration, Launcher, PluginError, get

from arcterm.commandline import Value
from arcterm.overrides import non_defaults
from arcterm.settings import LOCAL


def registered(launcher: str) -> str:
    """The registered name of a launcher."""
    return f"arcterm:{LOCAL}" if launcher == LOCAL else launcher


class Placement:
    """Where a run works: `nproc` ranks in all on `hosts` machines, each on `gpus`, none of one on the CPU.

    `launcher` starts it there, with `launcher_options`.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # the fields of the configs

        @property
        def nproc(self) -> int: ...
        @property
        def gpus(self) -> list[int]: ...
        @property
        def hosts(self) -> int: ...
        @property
        def launcher(self) -> str: ...
        @property
        def launcher_options(self) -> dict[str, Value]: ...

    @property
    def ranks_each(self) -> int:
        """Ranks of each host."""
        return self.nproc // self.hosts

    @property
    def is_local(self) -> bool:
        """Whether a supervisor of this machine's starts it."""
        return self.launcher == LOCAL

    @property
    def is_remote(self) -> bool:
        """Whether its machines are others than this one; also where its launcher's package is gone."""
        declared = None if self.is_local else declaration("launcher", registered(self.launcher))
        return declared.remote if isinstance(declared, Launcher) else not self.is_local

    @property
    def launching(self) -> dict[str, Any]:
        """The settings that ask for its launcher again, for `merge`."""
        if self.is_local:
            return {}
        given = non_defaults(self.launcher_options, declaration("launcher", registered(self.launcher)))
        return {"launcher": self.launcher, **({"launcher_options": given} if given else {})}


def declaration(kind: str, name: str) -> Declaration | None:
    """The declaration of a plug-in; None where its package is gone or broken."""
    try:
        return get(kind, name)
    except PluginError:
        return None
