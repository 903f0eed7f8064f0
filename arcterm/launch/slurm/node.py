"""The start of a run's host on a node, with the address by which Slurm itself reaches that node.

    python -m arcterm.launch.slurm.node -- COMMAND…

A host's own name often means an address of that host alone.
"""

from __future__ import annotations

import os
import re
import socket
import sys

from arcterm.errors import ArctermError, RunError
from arcterm.launch.slurm import commands


def main() -> int:
    """Become the command."""
    command = sys.argv[sys.argv.index("--") + 1 :]
    try:
        command += ["--local-addr", of_node(os.environ.get("SLURMD_NODENAME", ""))]
    except ArctermError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606


def of_node(name: str) -> str:
    """The address of the node `name`, as its cluster has it, or as this host's name means; IPv4."""
    known = ""
    try:
        match = re.search(r"\bNodeAddr=(\S+)", commands.ask(["scontrol", "-o", "show", "node", name]))
        known = match[1] if match else ""
    except RunError as error:
        sys.stderr.write(f"{error.message}; the address is looked up by name\n")
    for each in filter(None, (known, name, socket.gethostname())):
        try:
            return str(socket.getaddrinfo(each, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
        except OSError:
            continue
    raise RunError(
        f"the address of {name or 'this node'} can't be found", "give launcher.interface=NAME, e.g. ib0"
    )


if __name__ == "__main__":
    sys.exit(main())
