"""The verbs of the process for models; each takes a request as `launch` sends it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from arcterm_registry import get
from safetensors import safe_open

from arcterm.align.photos import find_photos
from arcterm.errors import DataError
from arcterm.export import card, embedding, model, writers
from arcterm.export.model import Model
from arcterm.files import staged_file
from arcterm.progress import Progress

Request = Mapping[str, Any]


def import_(request: Request, progress: Progress) -> dict[str, Any]:
    """Read ``place``, a foreign file, and write it to ``target`` as ours; ``head`` keep or drop."""
    progress(0, 2, "reading")
    found = model.open_model(request["place"], request["known"])
    if request["head"] == "keep" and found.head is None:
        why = f": {found.headless}" if found.headless else ""
        raise DataError(f"{found.facts.source} holds no class weights{why}", "leave out --head keep")
    if request["head"] == "drop":
        found = _headless(found)
    if request.get("declared_input"):
        found = model.adapt_input(found)
    progress(1, 2, "writing")
    model.save(found, Path(request["target"]))
    progress(2, 2, "writing")
    return _facts(found)


def show(request: Request, progress: Progress) -> dict[str, Any]:
    """Read ``place`` and return its facts."""
    return _facts(model.open_model(request["place"], request["known"]))


def export(request: Request, progress: Progress) -> dict[str, Any]:
    """Write ``place`` to ``target`` in ``format``, checked, with its card beside it."""
    progress(0, 3, "reading")
    found = model.open_model(request["place"], request["known"])
    if request["head"] == "keep":
        found = _with_head(found, request["place"])
    elif request["head"] == "drop":
        found = _headless(found)
    target, inside = Path(request["target"]), request["preprocess"] == "inside"
    progress(1, 3, f"writing {request['format']}")
    with staged_file(target) as stage:
        parity = writers.write(found, request["format"], stage, inside=inside)
        text = card.write(
            found.facts,
            target.name,
            input_text=writers.input_words(found.facts, inside),
            parity=str(parity),
        )
        with staged_file(target.with_name(f"{target.name}.md")) as beside:
            beside.write_text(text, encoding="utf-8")
    progress(3, 3, f"writing {request['format']}")
    return _facts(found) | {"differences": parity.differences, "card": text}


def embed(request: Request, progress: Progress) -> dict[str, Any]:
    """Embed ``images``, files and folders of them; the vectors are returned, or written to ``target`` (.npz).

    ``files`` names the images in order.
    """
    files = _files([Path(place) for place in request["images"]])
    found = model.open_model(request["place"], request["known"])
    rows = embedding.embed(found, files, resize=request["resize"], flip=request["flip"], progress=progress)
    names = [str(file) for file in files]
    answer = _facts(found) | {"norms": np.linalg.norm(rows, axis=1).tolist(), "files": names}
    if not request["target"]:
        return answer | {"embeddings": rows.tolist()}
    with staged_file(Path(request["target"])) as stage, stage.open("wb") as file:
        np.savez(file, files=np.array(names), embeddings=rows)
    return answer


def _files(places: list[Path]) -> list[Path]:
    """The images themselves, those of a folder in natural order; raises `DataError` for one without any."""
    found = []
    for place in places:
        if place.is_dir():
            photos = find_photos(place)
            found += [photos.root / name for name in photos.names]
        else:
            found.append(place)
    return found


def normalises(request: Request, progress: Progress) -> dict[str, Any]:
    """Try whether a batch norm of ``backbone`` with ``options`` refuses a batch of one: ``{"alone": true}``.

    Tried without memory or arithmetic where the backbone allows it; what else goes wrong is left to the run.
    """
    declared = get("backbone", request["backbone"])
    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.no_grad():
                network = declared.make(**request["options"]).train()
                network(torch.zeros(1, 3, *declared.input_size))
        except Exception as error:  # noqa: BLE001  a plug-in's, which its run reports
            if "more than 1 value per channel" in str(error):
                return {"alone": True}
        else:
            return {"alone": False}
    return {"alone": False}


def _headless(found: Model) -> Model:
    facts = msgspec.structs.replace(found.facts, classes=0)
    return Model(facts, found.network, None, found.fit)


def _with_head(found: Model, place: Mapping[str, Any]) -> Model:
    """Return the model with its class weights, its own or those of its checkpoint's shards.

    Raises `DataError` if a shard is not what its checkpoint's manifest says.
    """
    if found.head is None and place.get("head"):
        pieces = []
        for file, _, _, sha256 in sorted(place["head"], key=lambda part: part[1]):
            with Path(file).open("rb") as written:
                if hashlib.file_digest(written, "sha256").hexdigest() != sha256:
                    raise DataError(
                        f"{file} is damaged: its SHA-256 is not the manifest's",
                        "leave out --head keep, or choose another --checkpoint",
                    )
            with safe_open(file, framework="pt") as shard:
                pieces.append(shard.get_tensor("weight"))
        head = torch.cat(pieces)
        found = Model(msgspec.structs.replace(found.facts, classes=len(head)), found.network, head, found.fit)
    if found.head is None:
        raise DataError(f"{found.facts.source} holds no class weights", "leave out --head keep")
    return found


def _facts(found: Model) -> dict[str, Any]:
    return {
        "facts": msgspec.to_builtins(found.facts),
        "parameters": model.count_parameters(found),
        "missing": found.fit.missing,
        "unexpected": found.fit.unexpected,
    }


VERBS: dict[str, Callable[[Request, Progress], dict[str, Any]]] = {
    "import": import_,
    "show": show,
    "export": export,
    "embed": embed,
    "normalises": normalises,
}
