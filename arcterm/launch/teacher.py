"""The teacher of a training: the model whose embeddings its backbone is to learn too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arcterm_registry import Backbone

from arcterm.commandline import Value
from arcterm.errors import ConfigError
from arcterm.formats.modelfile import ModelFacts, read_facts
from arcterm.inputs import models
from arcterm.launch import adopted


@dataclass(frozen=True)
class TeacherFile:
    """A model file of ours, which no later checkpoint replaces, and what is known of it."""

    path: Path
    facts: ModelFacts

    @property
    def words(self) -> str:
        """Its network and where its weights are from."""
        return f"{self.facts.backbone} of {self.facts.source or self.path.name}"


def find(text: str, root: Path, student: Backbone, options: dict[str, Value]) -> TeacherFile:
    """Find the model that `text` means for a `student` with `options`, kept in ``.models`` of the runs.

    A run goes on and removes checkpoints, so its weights are copied: a resume needs the same teacher. Raises
    `ArctermError` if there is none, or if images or embeddings differ in size from the student's.
    """
    place = models.locate(text, root)
    models.refuse_graph(place)
    facts = models.facts_of(place)
    if facts is not None:  # before anything is copied
        _check(text, facts, student, options)
    path = adopted.adopt(place, root, "teacher", {"known": {}, "head": "drop"})
    facts = read_facts(path)
    assert facts is not None  # it was written with them
    _check(text, facts, student, options)
    return TeacherFile(path, facts)


def _check(text: str, facts: ModelFacts, student: Backbone, options: dict[str, Value]) -> None:
    size = int(options.get("embedding_size") or student.embedding_size)
    if facts.embedding_size != size:
        change = f"give --set backbone.embedding_size={facts.embedding_size}, or another teacher"
        raise ConfigError(
            f"teacher {text} gives embeddings of {facts.embedding_size} numbers, the backbone of {size}",
            change if student.option("embedding_size") else "give another teacher or backbone",
        )
    if facts.input_size != student.input_size:
        (h, w), (height, width) = facts.input_size, student.input_size
        raise ConfigError(
            f"teacher {text} takes images of {w}×{h}, the backbone of {width}×{height}",
            "give another teacher or backbone",
        )
