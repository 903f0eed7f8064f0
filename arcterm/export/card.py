"""A model's card: what a person must know to use it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from arcterm.formats.modelfile import ModelFacts, SetScore

_TABLE, _NEXT = "\n\n## Verification\n\n", "\n\n## Recipe\n\n"


def write(facts: ModelFacts, file: str, *, input_text: str, parity: str) -> str:
    """Write the card of `file`; `input_text` says what it takes, `parity` how near to torch's it is."""
    options = " ".join(f"{key}={value}" for key, value in facts.options.items())
    parts = [
        f"# {file}",
        f"Backbone `{facts.backbone}` ({options or 'defaults'}): {facts.embedding_size} numbers an image.",
        f"**Input.** {input_text}" + (f" ({facts.input_basis})" if facts.input_basis else ""),
        "**Output.** One embedding a row, not normalised: divide by its L2 norm, then compare two by their "
        "squared distance (0..4) or cosine; distance = 2 - 2·cosine.",
        f"**Origin.** {facts.source or 'unknown'}" + (f", step {facts.step}" if facts.step else "") + ".",
        f"**Data.** {facts.data or 'unknown'}.",
        _TABLE.lstrip() + _scores(facts.scores) + _NEXT + _recipe(facts.recipe.items()),
        f"## Check\n\n{parity}",
    ]
    return "\n\n".join(parts) + "\n"


def with_scores(text: str, scores: list[SetScore]) -> str | None:
    """Return a card's text with another table of scores; None if it has no place for one."""
    before, start, rest = text.partition(_TABLE)
    _, end, after = rest.partition(_NEXT)
    return before + start + _scores(scores) + end + after if start and end else None


def _scores(scores: list[SetScore]) -> str:
    if not scores:
        return "Not verified. `arcterm verify MODEL SET.bin` fills this table."
    rows = [
        f"| {s.set} | {s.pairs:,} | {_accuracy(s)} | {_number(s.threshold, 3)} "
        f"| {_number(s.tar, 4)} | {_number(s.far_threshold, 3)} |"
        for s in scores
    ]
    head = "| set | pairs | accuracy | its threshold | TAR at FAR 1e-3 | threshold at FAR 1e-3 |"
    note = (
        "Ten folds, embeddings of image and mirror image summed. Thresholds are squared L2 distances: "
        "two images count as one person below."
    )
    rates = [_rates(score) for score in scores if score.rates]
    if rates:
        note += (
            "\n\nOver all pairs, each threshold the largest that keeps to its FAR:\n\n"
            + "\n".join(rates)
            + "\n"
        )
    withheld = [f"{s.set} has no numbers: {s.withheld}." for s in scores if s.withheld]
    return "\n".join([head, "|---|---:|---:|---:|---:|---:|", *rows, "", " ".join([note, *withheld])])


def _rates(score: SetScore) -> str:
    read = [
        f"TAR {rate.tar:.4f} at FAR ≤ {rate.far:g} (threshold {rate.threshold:.6f})" for rate in score.rates
    ]
    return f"- {score.set}: {', '.join(read)}"


def _accuracy(score: SetScore) -> str:
    return "–" if score.accuracy is None else f"{score.accuracy:.4f} ± {_number(score.std, 4)}"


def _recipe(settings: Iterable[tuple[str, object]]) -> str:
    rows = [f"| {key} | {value} |" for key, value in settings if value not in ("", [], {}, None)]
    return "\n".join(["| setting | value |", "|---|---|", *rows]) if rows else "Unknown."


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
