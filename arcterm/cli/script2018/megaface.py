"""``arcterm gen-megaface`` and ``arcterm remove-noises``: InsightFace's scripts of 2018 by their own options.

Both generations: ``src/megaface`` of early 2018, whose lists and folders stood in the script, and
``Evaluation/Megaface`` of its end, later ``recognition/_evaluation_/megaface``. Each command says which
command of ours it is, and starts that.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from arcterm.cli.jobs import run_job
from arcterm.cli.options import parameter, set_parameters, shared_parameters
from arcterm.commandline import flag
from arcterm.errors import ConfigError
from arcterm.show.output import say

SETS = ("facescrub", "megaface")
_DATA = Path("data")
_EARLY = ("mean", "skip", "fsall", "mf", "seed", "concat")
"""Options that the script of early 2018 alone has."""


class Underscored(TyperCommand):
    """A command that takes ``--batch_size`` for ``--batch-size``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse after writing the names of options with hyphens."""
        return super().parse_args(ctx, [_hyphened(word) for word in args])


def _hyphened(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _option(name: str, text: str, kind: Any = str, default: Any = None) -> inspect.Parameter:
    about = typer.Option(flag(name), help=text, show_default=False)
    return parameter(name, Annotated[kind if kind is bool else kind | None, about], default)


_DETACH = _option("detach", "Start it and return; prints the job's id.", bool, False)


def gen_megaface(**given: Any) -> None:
    from arcterm.config import job_config

    if not given["model"]:
        raise ConfigError("--model is missing", "give PREFIX,EPOCH, a model file, or a run")
    early = any(given[name] is not None for name in _EARLY)
    algo = given["algo"] or ("mxsphereface20c" if early else "insightface")
    height, width = _parse_size(given["image_size"] or "3,112,112")
    ending = given["ending"] or (f"_{algo}_{height}x{width}.bin" if early else f"_{algo}.bin")
    options = {"algo": algo, "layout": "devkit", "ending": ending}
    options |= {key: given[key] for key in ("batch_size", "skip") if given[key]}
    if given["mean"]:
        options |= {"mean": "127.5", "std": "128"}
    wanted = {"facescrub": not given["skip"], "megaface": given["mf"] != 0}
    for which in (which for which in SETS if wanted[which]):
        listed, root = given[f"{which}_lst"], given[f"{which}_root"]
        listed = _choose_list(listed, given["fsall"]) if which == "facescrub" else listed
        place = Path(listed or _DATA / f"{which}_lst")
        images = _DATA / f"{which}_images"
        options |= {
            f"{which}_list": str(place),
            which: root or str(images if images.is_dir() else place.parent),
        }
    for name, why in (
        ("seed", "nothing in features is random"),
        ("concat", "features of several models are always put one after the other"),
        ("image_size", "a model says itself what it takes, and only the files' names have this"),
    ):
        if given[name] is not None and (name != "image_size" or not early):
            say(f"{flag(name)} does nothing: {why}")
    models = [text.strip() for text in given["model"].split("|")]
    where = {"gpus": None if given["gpu"] is None else str(given["gpu"])}
    _start(job_config("export", [*models, given["output"] or "feature_out"], options), given | where)


def remove_noises(**given: Any) -> None:
    read, written = given["suffix"] or given["algo"], given["algo"] or given["suffix"]
    endings = {key: f"_{name}.bin" for key, name in (("ending", read), ("new_ending", written)) if name}
    options = endings | {"seed": given["seed"] or 0}
    trees = {which: tree for which in SETS if (tree := given[f"{which}_feature_dir"])}
    if trees and (given["feature_dir_input"] or given["feature_dir_out"]):
        raise ConfigError(
            "--feature-dir-input and --feature-dir-out don't go with --facescrub-feature-dir and its like",
            "give the folder of both sets, or one of each set",
        )
    if not trees:
        source, target = given["feature_dir_input"] or "feature_out", given["feature_dir_out"]
        configs = [_clean(source, target or "feature_out_clean", SETS, given, options)]
    else:
        outs = {which: given[f"{which}_feature_dir_out"] for which in SETS}
        configs = [
            _clean(tree, outs[which] or f"{tree.rstrip('/')}_cm", (which,), given, options)
            for which, tree in trees.items()
        ]
    for config in configs:
        _start(config, given)


def _clean(
    features: str, out: str, sets: tuple[str, ...], given: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """The job that takes the noise out of a folder with features of `sets`."""
    from arcterm.config import job_config

    found = dict(options)
    for which in sets:
        name = f"{which}_noises.txt"
        noises = given[f"{which}_noises"] or next(
            (str(path) for path in (Path(name), _DATA / name) if path.is_file()), ""
        )
        if not noises:
            raise ConfigError(f"there is no {name} here, nor in data", f"give it as --{which}-noises")
        found[f"{which}_noises"] = noises
        usual = _DATA / f"{which}_lst"
        if listed := given[f"{which}_lst"] or (str(usual) if usual.is_file() else ""):
            found[f"{which}_list"] = listed
        else:
            say(f"no list of {which}'s images: all features count, in the order of their folder")
    return job_config("clean", [features, out], found)


def _start(config: Any, given: Mapping[str, Any]) -> None:
    say(f"this is: {config.command}")
    run_job(config, given)


def _parse_size(text: str) -> tuple[int, int]:
    """Height and width of ``3,112,112``; raises `ConfigError`."""
    numbers = text.split(",")
    if len(numbers) != 3 or not all(number.strip().isdecimal() for number in numbers):
        raise ConfigError(f"--image-size {text} is no three numbers", "give channels,height,width: 3,112,112")
    return int(numbers[1]), int(numbers[2])


def _choose_list(listed: str | None, fsall: int | None) -> str | None:
    """The list in a folder that `fsall` chooses; a file is taken as it is."""
    if listed and Path(listed).is_dir():
        return str(Path(listed) / ("lst" if fsall else "small_lst"))
    if fsall is not None:
        say("--fsall does nothing: --facescrub-lst is no folder that has lst and small_lst")
    return listed


set_parameters(
    gen_megaface,
    [
        _option("model", "PREFIX,EPOCH, or another model; | between several."),
        _option("facescrub_lst", "FaceScrub's list, or the folder of lst and small_lst; data/facescrub_lst."),
        _option("facescrub_root", "Its aligned images; data/facescrub_images, else the list's folder."),
        _option("megaface_lst", "MegaFace's list; data/megaface_lst."),
        _option("megaface_root", "Its aligned images; data/megaface_images, else the list's folder."),
        _option("output", "The new folder; feature_out."),
        _option("algo", "Name of the features; insightface, or mxsphereface20c."),
        _option("ending", "Of the files; _ALGO.bin, with an option of early 2018 _ALGO_112x112.bin."),
        _option("image_size", "Channels, height, width; 3,112,112."),
        _option("batch_size", "Images at a time on a rank.", int),
        _option("gpu", "The GPU; all.", int),
        _option("nproc", "Ranks on this machine; one for each GPU.", int),
        _option("mean", "Early 2018: 1 for (image - 127.5) / 128.", int),
        _option("skip", "Early 2018: leave out FaceScrub and the first N of MegaFace.", int),
        _option("fsall", "Early 2018: 1 for lst, 0 for small_lst in FaceScrub's folder.", int),
        _option("mf", "Early 2018: 0 leaves MegaFace out.", int),
        _option("seed", "Early 2018: does nothing.", int),
        _option("concat", "Early 2018: does nothing.", int),
        _DETACH,
        *shared_parameters(),
    ],
    "Export features in the devkit's layout, by the options of InsightFace's gen_megaface.py.",
)
set_parameters(
    remove_noises,
    [
        _option("facescrub_noises", "FaceScrub's noise; facescrub_noises.txt, here or in data."),
        _option("megaface_noises", "MegaFace's noise; megaface_noises.txt, here or in data."),
        _option("facescrub_lst", "FaceScrub's list; data/facescrub_lst, else all features."),
        _option("megaface_lst", "MegaFace's list; data/megaface_lst, else all features."),
        _option("feature_dir_input", "The folder of both sets' features; feature_out."),
        _option("feature_dir_out", "The new folder; feature_out_clean."),
        _option("algo", "Name of the features; the one that they have. Early 2018: of the new ones."),
        _option("suffix", "Early 2018: name and size of the features, as r100_cm_112x112."),
        _option("facescrub_feature_dir", "Early 2018: FaceScrub's features."),
        _option("facescrub_feature_dir_out", "Early 2018: the new folder of these; DIR_cm."),
        _option("megaface_feature_dir", "Early 2018: MegaFace's features."),
        _option("megaface_feature_dir_out", "Early 2018: the new folder of these; DIR_cm."),
        _option("seed", "Of the random term, which differs from run to run in the script; 0.", int),
        _DETACH,
        *shared_parameters(),
    ],
    "Take the noise out of features, by the options of InsightFace's remove_noises.py.",
)
gen_megaface.command_class = Underscored  # type: ignore[attr-defined]
remove_noises.command_class = Underscored  # type: ignore[attr-defined]
