"""The checks in a process of their own: ``python -m arcterm_registry.conformance KIND NAME``.

JSON lines on stdout: ``{"checks": [names]}``, then each ``{"finding": {…}}``, then ``{"done": true}``; or
``{"error": {"message", "hint"}}``. What the plug-in prints goes to stderr, even from C code.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import json
import os
from typing import Any

from arcterm_registry.conformance.suite import check, checks
from arcterm_registry.declare import OptionError
from arcterm_registry.discover import PluginError, get


def main() -> None:
    """Check one plug-in and print each finding as it comes."""
    asked = _arguments()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    faulthandler.enable()
    if asked.time_limit:  # whoever asked may be gone by then; this ends us all the same, and says where
        faulthandler.dump_traceback_later(asked.time_limit, exit=True)

    def say(**line: object) -> None:
        answer.write(json.dumps(line) + "\n")

    try:
        chosen: dict[str, Any] = _options(asked.kind, asked.name, asked.option)
        if asked.path:
            chosen["path"] = asked.path
        chosen |= {"quick": asked.quick, "compiler": asked.compiler}
        say(checks=[one.name for one in checks(asked.kind, asked.name, **chosen)])
        for finding in check(asked.kind, asked.name, **chosen):
            say(finding=dataclasses.asdict(finding))
    except (PluginError, OptionError) as error:
        say(error={"message": getattr(error, "message", str(error)), "hint": getattr(error, "hint", "")})
    else:
        say(done=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="arcterm_registry.conformance")
    parser.add_argument("kind")
    parser.add_argument("name")
    parser.add_argument("--path", default="")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--compiler", default="inductor")
    parser.add_argument("--time-limit", type=float, default=0.0)
    return parser.parse_args()


def _options(kind: str, name: str, given: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as values of the plug-in's options; raises `OptionError`."""
    declared = get(kind, name)
    options: dict[str, Any] = {}
    for text in given:
        key, _, value = text.partition("=")
        option = declared.option(key)
        if option is None:
            known = ", ".join(o.name for o in declared.options) or "none"
            raise OptionError(f"{kind} {name!r} has no option {key!r}; it has: {known}")
        options[key] = option.parse(value)
    return options


if __name__ == "__main__":
    main()
