"""Checks of a job: its function takes what its declaration promises. It is not run: it may take hours."""

from __future__ import annotations

import inspect
import typing

from arcterm_registry.conformance.findings import require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.declare import JobSpec


def paths(subject: Subject) -> str:
    """Paths with a word of help each, and files that are options of text."""
    declared = typing.cast(JobSpec, subject.declaration)
    for path in declared.paths:
        require(path.help.strip(), f"path {path.name!r} has no help", "say what it is")
    for file in (*declared.files, *declared.reads):
        known = declared.option(file)
        require(known and known.type is str, f"{file!r} of its files is no option of text", "declare it")
    return ", ".join(path.name for path in declared.paths) or "no path"


def called(subject: Subject) -> str:
    """The function takes the context, the paths and every option."""
    declared = typing.cast(JobSpec, subject.declaration)
    function = subject.factory()
    options = {option.name: option.default for option in declared.options}
    try:
        inspect.signature(function).bind(None, *(path.name for path in declared.paths), **options)
    except TypeError as error:
        words = ", ".join(["context", *(path.name for path in declared.paths), "*", *options])
        require(False, f"{declared.factory} can't be called as declared: {error}", f"def f({words})")
    return f"{declared.factory} takes {1 + len(declared.paths) + len(options)} arguments"


CHECKS = (paths, called)
