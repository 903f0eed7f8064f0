"""Checks of what a plug-in says of itself, whatever its kind; nothing of it is built."""

from __future__ import annotations

import os
import subprocess
import sys

from arcterm_registry.conformance.findings import Skipped, Warned, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.declare import OptionError

_HEAVY = ("torch", "numpy", "cv2", "sklearn", "textual")
_PATIENCE = 60.0


def declaration(subject: Subject) -> str:
    """A summary, a factory that can be named, options whose defaults they take themselves."""
    said = subject.declaration
    require(said.summary.strip(), "its summary is empty", "say in one line what it is")
    require("\n" not in said.summary, "its summary has several lines", "one line fits into a list")
    module, colon, function = said.factory.partition(":")
    require(
        module and colon and function, f"its factory is {said.factory!r}", "write package.module:function"
    )
    names = [option.name for option in said.options]
    for option in said.options:
        require(names.count(option.name) == 1, f"option {option.name!r} is declared twice", "rename one")
        require(option.name.isidentifier(), f"option {option.name!r} is no Python name", "rename it")
        require(option.help.strip(), f"option {option.name!r} has no help", "say what it does")
        if option.default is not None:
            try:
                option.check(option.default)
            except OptionError as error:
                require(False, f"option {option.name!r} refuses its own default: {error}", "change one")
    try:
        said.check_together(subject.settings())
    except ValueError as error:
        require(False, f"its check refuses these options: {error}", "let the defaults go together")
    return f"{len(names)} option{'s' * (len(names) != 1)}"


def light(subject: Subject) -> str:
    """Asking for the declaration alone imports nothing heavy; measured in a process of its own."""
    if not subject.name:
        raise Skipped("it is not installed under a name")
    code = (
        "import sys, arcterm_registry.discover as r\n"
        f"r.load_target(r.locate({subject.kind!r}, {subject.name!r}).target)\n"
        f"print(*[m for m in {_HEAVY!r} if m in sys.modules], file=sys.__stdout__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        # nothing is imported from the current directory
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path)), "PYTHONSAFEPATH": "1"},
    )
    last = done.stderr.strip().splitlines()[-1:]
    require(
        done.returncode == 0, f"its declaration can't be had: {''.join(last)}", "import the module by hand"
    )
    loaded = done.stdout.splitlines()[-1]  # what it printed itself stands before
    if loaded:
        raise Warned(
            f"listing it imports {loaded.replace(' ', ', ')}, and `arcterm plugins` waits for that "
            "→ import inside the factory, or keep the factory in a module of its own"
        )
    return "listing it imports nothing heavy"


CHECKS = (declaration, light)
