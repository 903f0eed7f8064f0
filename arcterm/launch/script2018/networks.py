"""--network and --version-…: the backbone and its options."""

from __future__ import annotations

import re
from typing import Any

from arcterm_registry import Backbone, get, names

from arcterm.launch.script2018.asked import ScriptOptions

_WHATEVER = {"i": "i2", "y": "y1"}
"""Networks whose number counted for nothing."""

_SAME = {"r49": "r50"}
_ABSENT = {"x": "Xception", "n": "NASNet"}


def choose(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    """Return the backbone and its options; raises `ConfigError` for networks that don't exist here."""
    name = _name(asked)
    declared = get("backbone", name)
    assert isinstance(declared, Backbone)
    options: dict[str, Any] = {"embedding_size": asked["emb_size"]}
    if declared.option("input"):
        options["input"] = _input(asked, declared)
    # y1 came with GDC as its one output part; only later scripts gave it those of the others
    if declared.option("output") and (name != "y1" or asked.gave("version_output")):
        options["output"] = asked["version_output"]
    if declared.option("unit"):
        options |= {"unit": asked["version_unit"], "se": bool(asked["version_se"])}
        options["activation"] = asked["version_act"]
    if declared.option("multiplier"):
        options["multiplier"] = asked["version_multiplier"]
    parts = {"input": "input", "output": "output", "unit": "unit", "se": "se", "activation": "act"}
    for option, version in (*parts.items(), ("multiplier", "multiplier")):
        if option not in options:
            asked.idle(f"network {name} has no such part", f"version_{version}")
    return name, options


def _name(asked: ScriptOptions) -> str:
    network = asked["network"]
    letter = network[:1]
    if not re.fullmatch(r"\w\d+", network, re.ASCII):
        raise asked.refuse("network", "it is a letter and a number", "give r50, r100, m1, y1, p107 or d121")
    if letter in _ABSENT:
        usual = "r50 is stronger, m1 and y1 are faster"
        raise asked.refuse("network", f"there is no {_ABSENT[letter]} here", f"choose another: {usual}")
    if letter == "m":  # whatever isn't 1 was MobileNetV2, m05 too
        return "m1" if int(network[1:]) == 1 else "m2"
    if letter in _WHATEVER:
        return _WHATEVER[letter]
    family = letter if letter in "dps" else "r"  # every other letter was a ResNet
    name = _SAME.get(found := f"{family}{int(network[1:])}", found)
    known = [each for each in names("backbone") if re.fullmatch(rf"{family}\d+", each)]
    if name not in known:
        taken = "" if letter == family else f", which the script takes for {name}"
        step = f"choose {', '.join(sorted(known, key=_number))}"
        raise asked.refuse("network", f"there is no {network}{taken}", step)
    return name


def _number(name: str) -> int:
    return int(name[1:])


def _input(asked: ScriptOptions, declared: Backbone) -> int:
    wanted: int = asked["version_input"]
    option = declared.option("input")
    if wanted == 2 and option is not None and 2 not in option.choices:
        asked.notes.append(
            f"--version-input 2 is 1 here: network {asked['network']} has no grouped bottlenecks"
        )
        return 1
    return wanted
