"""The command line. Each command imports what is slow only when it runs."""

from __future__ import annotations

import errno
import sys

from arcterm import environment
from arcterm.processes import init, termination


def main() -> None:
    """Entry point of ``arcterm``: run the command; a user's mistake is two lines, never a traceback.

    Ends with the exit codes of docs/configuration.md; an error of our own is a traceback, and 1.
    """
    init.step_aside()
    environment.forget_current_directory()
    code = 0
    try:
        from arcterm.show import streams

        streams.prepare()
        try:
            with termination.obeyed():
                code = _run(sys.argv[1:])
        except (streams.ReaderGoneError, BrokenPipeError):  # the latter where typer writes
            pass
        finally:
            streams.hush()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    from arcterm.cli.app import STOPPED, USAGE, run
    from arcterm.cli.mistakes import explained
    from arcterm.errors import ArctermError, DataError
    from arcterm.show import streams
    from arcterm.show.output import say

    try:
        return run(arguments)
    except STOPPED:
        return 130
    except USAGE as error:
        say(*explained(error))
        return int(getattr(error, "exit_code", 2))
    except Exception as error:
        from arcterm_registry import PluginError  # as slow to import as all that --help needs

        if isinstance(error, BrokenPipeError | streams.ReaderGoneError):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # no command looks for that
            error = DataError(f"{str(error.filename)[:80]}… is too long for a path", "check what was given")
        if not isinstance(error, ArctermError | PluginError):
            import traceback

            say(*traceback.format_exc().splitlines())  # which a stranger's words may stand in too
            return 1
        say(*f"arcterm: {error}".splitlines())
        return int(getattr(error, "exit_code", 2))
