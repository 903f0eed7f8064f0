"""A config of arcface_torch, or of a program built on it, as a recipe; what can't be taken over is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from arcterm_registry import Recipe

from arcterm.launch.recipes import assigned, upstream
from arcterm.launch.recipes.assigned import Falls

_GPUS = 8
_PER_512 = 512
_NUMBER = (int, float)


class Imported(NamedTuple):
    """A recipe, and sentences on what of the config is not taken over, or is otherwise here."""

    recipe: Recipe
    remarks: list[str]


def read(path: Path, gpus: int | None = None) -> Imported:
    """Read a config without running it; `gpus` is how many it was for, which no config says.

    Raises `ConfigError` if it is no Python.
    """
    found = assigned.read(path)
    remarks = list(found.unread)
    if not found.bases and path.name != "base.py":
        remarks.append("no base.py lies beside it: what it leaves open is as in arcface_torch's")
    return _Import(path, {**upstream.USUAL, **found.values}, set(found.values), remarks).done(gpus)


def translate(path: Path, values: Mapping[str, Any]) -> Imported:
    """Translate the `values` of a config that a log named `path` has; those of others are arcface_torch's."""
    return _Import(path, {**upstream.USUAL, **values}, set(values), []).done(None)


class _Import:
    """The settings of a config, taken from its values one by one; those `said` are not mere defaults."""

    def __init__(self, path: Path, values: dict[str, Any], said: set[str], remarks: list[str]) -> None:
        self._path, self._left, self._said, self._remarks = path, values, said, remarks
        self._settings: dict[str, Any] = {}
        self._options: dict[str, dict[str, Any]] = {}

    def done(self, gpus: int | None) -> Imported:
        data = self._data()
        self._network()
        self._loss()
        per_512 = self._rate()
        self._optimizer()
        self._head()
        self._rest()
        images = _PER_512 if per_512 else self._images(gpus)
        self._leftover()
        recipe = Recipe(
            summary=f"{self._path.stem}, imported",
            source=str(self._path),
            data=data,
            values={**self._settings, **{f"{k}_options": v for k, v in self._options.items() if v}},
            global_batch=images,
            notes=tuple(self._remarks),
        )
        return Imported(recipe, self._remarks)

    def _take(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """Take a value away; None if there is none, or it is of another type, which is remarked."""
        value = self._left.pop(key, None)
        if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            return value
        self._remarks.append(f"{key} = {value!r:.60} is not taken over: it is not of the usual type")
        return None

    def _data(self) -> str:
        """Take the data set over if it is here; return what a recipe says of it."""
        place = self._take("rec", str)
        counts = {"classes": self._left.get("num_classes"), "images": self._left.get("num_image")}
        known = {key: count for key, count in counts.items() if isinstance(count, int)}
        if place == "synthetic":
            self._settings["dataset"], self._options["dataset"] = "synthetic", known
        elif place and Path(place).is_dir():
            self._settings["dataset"] = str(Path(place).absolute())
        elif place:
            self._remarks.append(f"rec {place} is not here: give --dataset")
        words = {"classes": "people", "images": "images"}
        said = [f"{count:,} {words[key]}" for key, count in known.items()]
        return ", ".join([*([Path(place).name] if place else []), *said])

    def _network(self) -> None:
        name, size = self._take("network", str), self._take("embedding_size", int)
        found = upstream.network((name or "").lower(), bool(self._take("SE", bool)))
        if found is None:
            self._remarks.append(f"network {name} is not here: give a backbone, `arcterm plugins backbone`")
        else:
            self._settings["backbone"], options = found
            self._options["backbone"] = options | (
                {"embedding_size": size} if size not in (None, 512) else {}
            )

    def _loss(self) -> None:
        margins, name = self._take("margin_list", list), self._take("loss", str)
        own = {"scale": "s", "margin": "m", "sigma": "std"}
        given = {option: self._take(key, _NUMBER) for option, key in own.items()}
        named = name and "margin_list" not in self._said
        if named and name.lower() not in upstream.LOSSES:
            self._remarks.append(f"loss {name} is not known: give a loss, `arcterm plugins loss`")
            return
        loss, options = upstream.LOSSES[name.lower()] if named else self._margins(margins or [])
        if loss == "arcface" and not given["margin"]:
            options = {**options, "fallback": "none", "gradient": "detached"}
        options = options | {key: float(value) for key, value in given.items() if value is not None}
        if loss != "elasticface":
            options.pop("sigma", None)
        self._settings["loss"], self._options["loss"] = loss, options

    def _margins(self, margins: list[Any]) -> tuple[str, dict[str, Any]]:
        """The loss for ``(m1, m2, m3)``, as arcface_torch reads it: m3 goes before m1 and m2."""
        if len(margins) != 3 or not all(isinstance(margin, _NUMBER) for margin in margins):
            self._remarks.append(f"margin_list {margins} is not three numbers: ArcFace's 0.5 is taken")
            return "arcface", {"margin": 0.5}
        m1, m2, m3 = map(float, margins)
        exact = f"the three together are --set loss.m1={m1:g} loss.m2={m2:g} loss.m3={m3:g} of combined"
        if m3 > 0:
            if (m1, m2) != (1, 0):
                self._remarks.append(
                    f"margin_list {margins}: of these arcface_torch uses {m3:g} alone; {exact}"
                )
            return "cosface", {"margin": m3}
        if m1 != 1:
            self._remarks.append(f"margin_list {margins} is refused by arcface_torch; combined is taken")
            return "combined", {"m1": m1, "m2": m2, "m3": m3}
        return "arcface", {"margin": m2}

    def _rate(self) -> bool:
        """Take length and schedule over; return whether the rate is one for 512 images a step."""
        self._copy("num_epoch", "epochs", int)
        self._copy("lr", "lr", _NUMBER)
        falls, epochs = self._left.pop("lr_func", None), self._take("decay_epoch", list)
        if epochs:
            falls = Falls([epoch for epoch in epochs if isinstance(epoch, int)], 0.1)
        old = "lr_func" in self._said or bool(epochs)
        if isinstance(falls, Falls):
            self._settings["schedule"] = "multistep"
            self._settings["milestones"] = ",".join(f"{epoch}e" for epoch in falls.epochs)
            if falls.gamma != 0.1:
                self._settings["gamma"] = falls.gamma
        elif not old:
            self._settings["power"] = 1.0
        warmup = self._take("warmup_epoch", int) or 0
        if warmup > 0:
            self._settings["warmup"] = f"{warmup}e"
            if old:
                self._remarks.append("the rate rises in a straight line here, by a square there")
        if old:
            self._remarks.append(
                "lr is for 512 images a step, as before 2022: it is scaled to the images of a step"
            )
        return old

    def _optimizer(self) -> None:
        name = self._take("optimizer", str)
        if name == "adamw":
            self._settings["optimizer"] = "adamw"
        elif name not in (None, "sgd"):
            self._remarks.append(f"optimizer {name} is not here: sgd is taken")
        if self._take("momentum", _NUMBER) not in (None, 0.9):
            self._remarks.append(
                "momentum is 0.9 in arcface_torch whatever its config says, and so it is here"
            )
        self._copy("weight_decay", "weight_decay", _NUMBER)
        self._settings["clip"] = 5.0  # in the code there, on the backbone alone, as here

    def _head(self) -> None:
        rate, filtered = (
            self._take("sample_rate", _NUMBER),
            self._take("interclass_filtering_threshold", _NUMBER),
        )
        if rate is not None and not 0 < rate <= 1:
            self._remarks.append(f"sample_rate {rate:g} is outside 0 to 1: all classes are compared")
        elif rate not in (None, 1):
            self._settings["sample_rate"] = float(rate)
        if filtered and filtered > 0:
            self._settings["interclass_filter"] = float(filtered)

    def _images(self, gpus: int | None) -> int:
        """The images of a step that the rate goes with."""
        named = upstream.gpus_in(self._path.stem)
        ranks = gpus or named or _GPUS
        if not gpus:
            where = "by its name" if named else "since it does not say"
            self._remarks.append(
                f"it is taken to be for {ranks} GPU{'s' * (ranks > 1)}, {where}: another number is --gpus N"
            )
        batch = self._settings.get("batch_size", upstream.USUAL["batch_size"])
        return int(batch * self._settings.get("accumulate", 1) * ranks)

    def _rest(self) -> None:
        self._copy("batch_size", "batch_size", int)
        if self._left.get("gradient_acc") != 1:
            self._copy("gradient_acc", "accumulate", int)
        self._left.pop("gradient_acc", None)
        self._copy("verbose", "verify_every", int)
        self._copy("seed", "seed", int)
        if self._take("fp16", bool):
            self._remarks.append(
                "fp16: precision is auto here, bfloat16 or float32; as there is --set precision=float16"
            )
        if self._take("using_wandb", bool):
            self._remarks.append("using_wandb: give --track wandb")
        targets = self._take("val_targets", list)
        if targets:
            named = ", ".join(map(str, targets))
            self._remarks.append(
                f"val_targets {named}: the sets beside the data are taken, --set verify_sets others"
            )

    def _copy(self, key: str, setting: str, kind: type | tuple[type, ...]) -> None:
        value = self._take(key, kind)
        if value is not None:
            self._settings[setting] = float(value) if kind is _NUMBER else value

    def _leftover(self) -> None:
        """Remark on whatever has not been taken, but for what nobody misses."""
        for key, value in self._left.items():
            if key in upstream.NEEDLESS or (key in upstream.INSTEAD and not value):
                continue
            advice = upstream.INSTEAD.get(key, "there is no such setting here")
            self._remarks.append(f"{key} is not taken over: {advice}")
