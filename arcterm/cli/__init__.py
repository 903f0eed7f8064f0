"""The command line. Each command imports what is slow only when it runs."""

from __future__ import annotations

import sys

from arcterm import environment


def main() -> None:
    """Entry point of ``arcterm``: run the command; a user's mistake is two lines, never a traceback."""
    environment.forget_current_directory()
    from arcterm.cli.app import build
    from arcterm.errors import ArctermError

    try:
        build(sys.argv[1:])(prog_name="arcterm")
    except Exception as error:
        from arcterm_registry import PluginError  # as slow to import as all that --help needs

        if not isinstance(error, ArctermError | PluginError):
            raise
        sys.stderr.write(f"arcterm: {error}\n")
        sys.exit(getattr(error, "exit_code", 2))
