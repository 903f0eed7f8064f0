"""``arcterm embed`` and ``arcterm compare``: apply a model to images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from arcterm.cli.model import Channels, Mean, Source, Std, Which, _locate, _target
from arcterm.cli.options import Json, RunsDir
from arcterm.show.output import ProgressLine, put, put_json, say, say_waiting, table

Resize = Annotated[bool, typer.Option("--resize", help="Stretch images of another size.")]


def embed(
    source: Source,
    images: Annotated[
        list[Path], typer.Argument(help="Aligned faces, or folders of them.", show_default=False)
    ],
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write files and embeddings to this .npz.", show_default=False),
    ] = None,
    resize: Resize = False,
    flip: Annotated[bool, typer.Option("--flip", help="Sum with the mirror image's embedding.")] = False,
    checkpoint: Which = "last",
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Embed images with a model; --json prints the vectors, --output writes them."""
    from arcterm.inputs.preprocess import parse_preprocess

    path = _target(target, ".npz", force) if target else None
    known = parse_preprocess(channels=channels, mean=mean, std=std)
    answer = _ask(source, images, checkpoint, runs_dir, known=known, resize=resize, flip=flip, target=path)
    files = answer["files"]
    if as_json:
        rows = answer.get("embeddings", [[]] * len(files))
        put_json(
            [
                {"file": file, "norm": norm, "embedding": row}
                for file, norm, row in zip(files, answer["norms"], rows, strict=True)
            ]
        )
    else:
        rows = [[file, f"{norm:.4g}"] for file, norm in zip(files, answer["norms"], strict=True)]
        put(*table(["IMAGE", "NORM"], rows, right=frozenset({1})))
        say(f"{len(files)} embeddings of {answer['facts']['embedding_size']} numbers" + _where_written(path))


def _where_written(path: Path | None) -> str:
    return f" in {path}" if path else "; --output FILE.npz keeps them"


def compare(
    source: Source,
    first: Annotated[Path, typer.Argument(metavar="A", help="An aligned face.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.", show_default=False)],
    resize: Resize = False,
    checkpoint: Which = "last",
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Say how alike two faces are, and whether that is one person at the model's own thresholds."""
    from arcterm.inputs.preprocess import parse_preprocess

    known = parse_preprocess(channels=channels, mean=mean, std=std)
    pair = [first, second]
    answer = _ask(source, pair, checkpoint, runs_dir, known=known, resize=resize, flip=True, target=None)
    cosine = _cosine(*answer["embeddings"])
    distance = 2 - 2 * cosine
    verdicts = [
        {
            "set": score["set"],
            "far_threshold": score["far_threshold"],
            "threshold": score["threshold"],
            "same": _below(distance, score["threshold"]),
            "same_at_far": _below(distance, score["far_threshold"]),
            "withheld": score["withheld"],
            "rates": [
                {"far": rate["far"], "threshold": rate["threshold"], "same": distance < rate["threshold"]}
                for rate in score["rates"]
            ],
        }
        for score in answer["facts"]["scores"]
    ]
    if as_json:
        put_json({"cosine": cosine, "distance": distance, "norms": answer["norms"], "verdicts": verdicts})
        return
    put(f"cosine {cosine:.4f}  squared distance {distance:.4f}")
    for verdict in verdicts:
        put(_verdict_words(verdict))
    if not verdicts:
        say("no thresholds: the model was not verified (`arcterm verify MODEL SET.bin`), or its card is lost")


def _below(distance: float, threshold: float | None) -> bool | None:
    return None if threshold is None else distance < threshold


def _verdict_words(verdict: dict[str, Any]) -> str:
    if verdict["threshold"] is None:
        return f"{verdict['set']}: no threshold ({verdict['withheld'] or 'withheld'})"
    best = (
        f"{'one person' if verdict['same'] else 'two people'} at {verdict['threshold']:.3f} (best accuracy)"
    )
    read = [(rate["same"], rate["threshold"], f"FAR ≤ {rate['far']:g}") for rate in verdict["rates"]]
    if not read and verdict["far_threshold"] is not None:
        read = [(verdict["same_at_far"], verdict["far_threshold"], "FAR 1e-3")]
    strict = [
        f"{'one person' if same else 'two people'} at {threshold:.3f} ({name})"
        for same, threshold, name in read
    ]
    return f"{verdict['set']}: {', '.join([best, *strict])}"


def _cosine(a: list[float], b: list[float]) -> float:
    import math

    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    norms = math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))
    return dot / norms if norms else 0.0


def _ask(
    source: str,
    images: list[Path],
    checkpoint: str,
    runs_dir: Path | None,
    *,
    known: dict[str, Any],
    resize: bool,
    flip: bool,
    target: Path | None,
) -> dict[str, Any]:
    from arcterm.processes import child

    folders = any(place.is_dir() for place in images)
    count = "images" if folders else f"{len(images)} image{'s' * (len(images) != 1)}"
    say_waiting(f"embedding {count} with {source}")
    request = {
        "place": _locate(source, runs_dir, checkpoint),
        "known": known,
        "images": [str(file) for file in images],
        "resize": resize,
        "flip": flip,
        "target": str(target) if target else "",
    }
    answer: dict[str, Any] = child.ask("embed", request, ProgressLine())
    if basis := answer["facts"]["input_basis"]:
        say(f"{source}'s input: {basis}")
    return answer
