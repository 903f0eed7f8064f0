"""``arcterm model``: model files in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from arcterm.cli import completing
from arcterm.cli.options import Json, RunsDir
from arcterm.errors import ConfigError, DataError
from arcterm.show.output import ProgressLine, put, put_json, say, say_waiting

model = typer.Typer(help="Model files in and out.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run, a checkpoint, MXNet's PREFIX,EPOCH, a .pt, .pth, .ckpt, .safetensors or .onnx file.",
        autocompletion=completing.runs,
        show_default=False,
    ),
]
Which = Annotated[str, typer.Option("--checkpoint", help="Of a run: last, best, or a step.")]
Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="The architecture, if names and shapes don't show it.",
        autocompletion=completing.backbones,
    ),
]
Options = Annotated[list[str], typer.Option("--set", help="An option of that backbone, key=value.")]
Channels = Annotated[
    str | None,
    typer.Option("--channels", metavar="rgb|bgr", help="The order in which its network takes the planes."),
]
Mean = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="NUMBER|R,G,B",
        help="Subtracted from each number, 0..255: one, or of red, green, blue.",
    ),
]
Std = Annotated[
    str | None, typer.Option("--std", metavar="NUMBER|R,G,B", help="What is then divided by, likewise.")
]
Scale = Annotated[float | None, typer.Option("--scale", help="1 / std: what is then multiplied with.")]
Head = Annotated[
    Literal["keep", "drop"], typer.Option("--head", help="The class weights it was trained with.")
]


@model.callback()
def options() -> None:
    """Model files in and out."""


@model.command("import")
def import_(
    source: Source,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The new file, .safetensors.", show_default="its name, here"),
    ] = None,
    head: Head = "drop",
    backbone: Backbone = None,
    assignments: Options = [],  # noqa: B006  typer copies it
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Turn another program's model into a file of ours; nothing in it is run."""
    from arcterm.inputs.models import refuse_graph
    from arcterm.inputs.preprocess import parse_known
    from arcterm.processes import child

    known = parse_known(backbone, assignments, channels=channels, mean=mean, std=std, scale=scale)
    say_waiting(f"reading {source}")
    place = _locate(source, runs_dir)
    refuse_graph(place)
    path = _target(target or Path(_stem(source) + ".safetensors"), ".safetensors", force)
    answer = child.ask(
        "import",
        {
            "place": place,
            "known": known,
            "target": str(path),
            "head": head,
        },
        ProgressLine(),
    )
    _say_result(answer, path, as_json)


@model.command()
def export(
    source: Source,
    form: Annotated[
        Literal["onnx", "safetensors", "torchscript"], typer.Option("--format", help="Of the new file.")
    ] = "onnx",
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The new file.", show_default="the model's name, here"),
    ] = None,
    preprocess: Annotated[
        Literal["inside", "card"],
        typer.Option(help="inside: the file takes uint8 images; card: the card says what it takes."),
    ] = "card",
    head: Head = "drop",
    checkpoint: Which = "last",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write a model for use elsewhere, compared with PyTorch at batches of 1 and 7 before it is kept."""
    from arcterm.inputs.models import refuse_graph
    from arcterm.processes import child

    if preprocess == "inside" and form == "safetensors":
        raise ConfigError("safetensors hold weights, no graph to put preprocessing in", "--preprocess card")
    if head == "keep" and form != "safetensors":
        raise ConfigError(f"{form} has no place for class weights", "--format safetensors, or --head drop")
    ending = {"onnx": ".onnx", "safetensors": ".safetensors", "torchscript": ".ts"}[form]
    say_waiting(f"reading {source}")
    place = _locate(source, runs_dir, checkpoint)
    refuse_graph(place)
    path = _target(target or Path(_stem(source) + ending), ending, force)
    _target(path.with_name(f"{path.name}.md"), ".md", force)
    answer = child.ask(
        "export",
        {
            "place": place,
            "known": {},
            "target": str(path),
            "format": form,
            "preprocess": preprocess,
            "head": head,
        },
        ProgressLine(),
    )
    _say_result(answer, path, as_json)


@model.command()
def show(source: Source, checkpoint: Which = "last", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Say what a model is: backbone, options, preprocessing, scores."""
    from arcterm.processes import child

    say_waiting(f"reading {source}")
    answer = child.ask("show", {"place": _locate(source, runs_dir, checkpoint), "known": {}}, ProgressLine())
    _say_result(answer, None, as_json)


def _locate(source: str, runs_dir: Path | None, which: str = "last") -> dict[str, Any]:
    from arcterm.inputs.models import locate
    from arcterm.runs import store

    return locate(source, store.runs_dir(runs_dir), which)


def _stem(source: str) -> str:
    """Name without suffix for a file made from `source`."""
    from arcterm.inputs.models import FILES

    name = Path(source.partition(",")[0] if "," in source else source).name
    for ending in (".params", *FILES):
        name = name.removesuffix(ending)
    return name


def _target(path: Path, ending: str, force: bool) -> Path:
    if path.suffix != ending:
        raise ConfigError(f"{path} does not end in {ending}", f"give --output {path.stem}{ending}")
    if path.exists() and not force:
        raise DataError(f"{path} exists", "choose another --output, or --force to replace it")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path.parent} is not a directory", f"mkdir -p {path.parent}")
    return path.absolute()


def _say_result(answer: dict[str, Any], path: Path | None, as_json: bool) -> None:
    import msgspec

    from arcterm.formats.modelfile import ModelFacts
    from arcterm.show import words

    facts = answer["facts"]
    if as_json:
        put_json(answer | ({"path": str(path)} if path else {}))
        return
    options = " ".join(f"{key}={value}" for key, value in facts["options"].items())
    lines = {
        "backbone": f"{facts['backbone']} {options}".rstrip(),
        "parameters": f"{answer['parameters']:,}",
        "embedding": str(facts["embedding_size"]),
        "input": msgspec.convert(facts, ModelFacts).input_words,
        "class weights": f"{facts['classes']:,}" if facts["classes"] else "none",
        "source": facts["source"],
        "missing": ", ".join(answer["missing"]),
        "not needed": ", ".join(answer["unexpected"]),
    }
    if "differences" in answer:
        lines["checked"] = ", ".join(f"batch {n}: {d:.1e}" for n, d in answer["differences"].items())
    for score in facts["scores"]:
        why = f" ({score['withheld']})" if score["withheld"] else ""
        lines[score["set"]] = words.score(score["accuracy"], score["std"]) + why
    talk = put if path is None else say
    for key, value in lines.items():
        if value:
            talk(f"  {key:<15}{value}")
    if path is not None:
        put(str(path))
