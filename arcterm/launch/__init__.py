"""Starting runs: what is checked first, and the engines that start them."""

from __future__ import annotations

from arcterm_registry import Launcher

local = Launcher(
    summary="torchrun on this machine, in a session of its own", factory="arcterm.launch.torchrun:Local"
)
