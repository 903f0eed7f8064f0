"""--loss-type and its margins: the loss and its options."""

from __future__ import annotations

import math
from typing import Any

from arcterm.launch.script2018.asked import ScriptOptions

TRIPLET = 12
_GONE = {
    6: "it adds the mean target angle to ArcFace",
    7: "it adds the cosines between class weights to ArcFace",
    8: "centre loss does not exist here",
    9: "COCO loss does not exist here",
    10: "marginal loss does not exist here",
    11: "N-pair loss does not exist here",
    13: "triplets of angles do not exist here",
}
_OF_LOSS = {
    "margin_m": (2, 3, 4, 5),
    "margin_s": (2, 3, 4, 5),
    "margin_a": (5,),
    "margin_b": (5,),
    "easy_margin": (4,),
    "margin": (1,),
    "beta": (1,),
    "beta_min": (1,),
    "gamma": (1,),
    "power": (1,),
    "center_alpha": (8,),
    "center_scale": (8,),
    "triplet_bag_size": (TRIPLET,),
    "triplet_alpha": (TRIPLET,),
    "triplet_max_ap": (TRIPLET,),
}
"""Options that some losses alone have."""


def choose(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    """Return the loss and its options; raises `ConfigError` for losses that don't exist here."""
    number: int = asked["loss_type"]
    for name, losses in _OF_LOSS.items():
        if number not in losses:
            asked.idle(f"loss {number} doesn't have it", name)
    if number != TRIPLET and asked["images_per_identity"]:
        raise asked.refuse("images_per_identity", f"loss {number} draws images by chance", "leave it out")
    if number != 0:
        asked.idle("only softmax has a bias a class", "fc7_no_bias")
    scale: float = asked["margin_s"]
    if scale <= 0 and number in _OF_LOSS["margin_s"]:
        raise asked.refuse("margin_s", "the scale is above 0", "give 64")
    make = {0: _softmax, 1: _sphere, 2: _cosine, 3: _multiplied, 4: _arc, 5: _fifth, TRIPLET: _triplet}.get(
        number
    )
    if make is None:
        why = _GONE.get(number, "2018's script had no such number")
        near = "--loss-type 12" if number in (9, 10, 11, 13) else "--loss-type 4"
        raise asked.refuse("loss_type", why, f"{near} is near to it; `arcterm plugins loss` lists all losses")
    return make(asked)


def _softmax(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    if asked["fc7_no_bias"]:
        raise asked.refuse("fc7_no_bias", "softmax has a bias a class here", "leave it out")
    return "softmax", {}


def _sphere(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    options = {"margin": float(asked["margin"]), "start": asked["beta"], "floor": asked["beta_min"]}
    options["power"] = asked["power"]
    # what is left open follows from the number of people, as it did then even where it was given
    given = {"gamma": "gamma", "freeze": "beta_freeze"}
    return "sphereface", options | {ours: asked[name] for ours, name in given.items() if asked.gave(name)}


def _cosine(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    return "cosface", {"margin": asked["margin_m"], "scale": asked["margin_s"]}


def _multiplied(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    factor: float = asked["margin_m"]
    if factor <= 1:
        raise asked.refuse("margin_m", "loss 3 multiplies the angle by it", "give more than 1, such as 2")
    return "combined", _plain(factor, 0.0, 0.0, asked["margin_s"])


def _arc(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    options = {"margin": asked["margin_m"], "scale": asked["margin_s"]}
    return "arcface", options | {"easy_margin": bool(asked["easy_margin"])}


def _fifth(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    """The number changed its meaning in March 2018, with --margin-a and --margin-b."""
    scale: float = asked["margin_s"]
    if asked.gave("margin_a") or asked.gave("margin_b"):
        asked.notes.append("loss 5 with --margin-a or --margin-b is the combined margin of March 2018 on")
        return "combined", _plain(
            asked["margin_a"], max(0.0, asked["margin_m"]), max(0.0, asked["margin_b"]), scale
        )
    asked.notes.append(
        "loss 5 is linear in the angle, as in February 2018; --margin-a 1 makes it the later combined margin"
    )
    # s·(π/2 - θ - m) is (s·π/2)·(1 - 2(θ + m)/π); in the digits that a command line has
    return "li-arc", {"margin": asked["margin_m"], "scale": float(f"{scale * math.pi / 2:.10g}")}


def _plain(factor: float, added: float, subtracted: float, scale: float) -> dict[str, Any]:
    """Options of the combined margin without anything past 180 degrees, as it was."""
    return {"m1": factor, "m2": added, "m3": subtracted, "scale": scale, "fallback": "none"}


def _triplet(asked: ScriptOptions) -> tuple[str, dict[str, Any]]:
    return "triplet", {
        "margin": asked["triplet_alpha"],
        "bag": asked["triplet_bag_size"],
        "images_per_identity": asked["images_per_identity"] or 5,
        "max_ap": asked["triplet_max_ap"],
    }
