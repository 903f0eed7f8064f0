"""The backbone, the loss and the devices that a person chose, and what was meant where that can't be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from arcterm_registry import Backbone, Loss, PluginError, get, names

from arcterm import gpus
from arcterm.errors import ConfigError
from arcterm.launch import devices
from arcterm.launch.hosts.asked import AskedHosts
from arcterm.overrides import indices


def check_order(asked: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if a loss stands where the backbone does, alone or with a backbone behind it."""
    first, second = str(asked.get("backbone") or ""), str(asked.get("loss") or "")
    loss = _meant("loss", first)
    if not first or not loss or _meant("backbone", first):
        return
    if not second:
        raise ConfigError(f"{loss} is a loss, and no backbone is chosen", f"`arcterm train r50 {loss}`")
    backbone = _meant("backbone", second)
    if backbone and not _meant("loss", second):
        raise ConfigError(
            f"{loss} is a loss and {backbone} a backbone; the backbone comes first",
            f"`arcterm train {backbone} {loss}`",
        )


def chosen(kind: str, given: Mapping[str, Any]) -> Any:
    """The declaration of the backbone or loss of `given`; `ConfigError` or `PluginError` without one."""
    name = given.get(kind)
    if not name:
        example = f"`arcterm train r50 {given.get('loss') or 'arcface'}`"
        if kind == "loss":
            example = f"`arcterm train {given['backbone']} arcface`"
        raise ConfigError(f"no {kind} is chosen", f"{example}; installed: {', '.join(names(kind))}")
    declared = get(kind, str(name))
    if not isinstance(declared, Backbone | Loss):
        raise PluginError(f"{name!r} is no {kind}")
    return declared


class Devices(NamedTuple):
    """The GPUs of each host of a run, none of one on the CPU; its ranks in all; its hosts.

    The remark on them is empty where all is as usual. An elastic run goes on with `least` to `most` hosts.
    """

    gpus: list[int]
    nproc: int
    remark: str
    hosts: int = 1
    least: int = 0
    most: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of a config."""
        return {
            "device": "cuda" if self.gpus else "cpu",
            "nproc": self.nproc,
            "gpus": self.gpus,
            "hosts": self.hosts,
            "least_hosts": self.least,
            "most_hosts": self.most,
        }

    def on(self, asked: AskedHosts) -> Devices:
        """These on each of several hosts."""
        if not asked.several:
            return self
        hosts, least, most = asked.numbers
        return self._replace(nproc=self.nproc * hosts, hosts=hosts, least=least, most=most)


def devices_for(wanted: str | None, nproc: int | None) -> Devices:
    """Choose where a run works from what --gpus and --nproc say; raises `ConfigError` if that can't be.

    ``none`` is the CPU, whatever GPUs there are.
    """
    if wanted == "none":
        return _on_cpu(nproc, "")
    asked = indices(wanted or "", "gpus")
    if wanted and wanted.strip() and not asked:
        raise ConfigError(f"--gpus {wanted} names no GPU", "write --gpus 0,2")
    unfit = devices.too_old() if devices.torch_has_cuda() else devices.without_cuda()
    if unfit and asked:
        raise ConfigError(f"--gpus {wanted} can't be had: {unfit}", "or leave out --gpus")
    chosen = [] if unfit else gpus.select(asked)
    said = devices.remark(chosen, unfit)
    if not chosen:
        return _on_cpu(nproc, said)
    if nproc and nproc > len(chosen):
        there = f"{len(chosen)} GPU{'s' * (len(chosen) > 1)}"
        hint = "one rank a GPU: lower --nproc or widen --gpus"
        raise ConfigError(f"{nproc} ranks on {there}", f"{hint}; {said}" if said else hint)
    return Devices(chosen[: nproc or len(chosen)], nproc or len(chosen), said)


def _on_cpu(nproc: int | None, remark: str) -> Devices:
    if nproc and nproc > 4 * devices.cores():
        raise ConfigError(
            f"{nproc} ranks on {devices.cores()} CPU cores",
            f"change --nproc; at most {4 * devices.cores()}",
        )
    return Devices([], nproc or 1, remark)


def _meant(kind: str, text: str) -> str:
    """The plug-in of a kind that `text` names or nearly names; empty if it is nearer to another kind's."""
    known = names(kind)
    if text in known or not text:
        return text
    others = names("loss" if kind == "backbone" else "backbone")
    close = difflib.get_close_matches(text, [*known, *others], n=1, cutoff=0.6)
    return close[0] if close and close[0] in known and text not in others else ""
