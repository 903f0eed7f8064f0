"""GPUs, or without them the ranks' processors; a dash stands for a value that the driver lacks."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from arcterm.console.view import View
from arcterm.runs.diagnosis.alerts import HOT, stragglers
from arcterm.runs.events import Gpu, Rank
from arcterm.show.lines import Line, bar, heading, pad, shorten, spark
from arcterm.show.words import DASH, bytes_
from arcterm.text import clean

_SHORT_WIDTH = 13
_RANK_WIDTH = 32
_HISTORY_SECONDS = 600.0
_WARM, _IDLE = 70.0, 30.0
_SLICE = re.compile(r"\bMIG (\S+)")


class _Form(NamedTuple):
    """A way to write a GPU, at least `width` cells wide."""

    width: int
    bars: bool
    clock: bool


_FORMS = (_Form(54, True, True), _Form(43, True, False), _Form(34, False, False))


def devices(view: View, width: int, height: int) -> list[Line]:
    """The GPUs in the fullest form that fits, side by side where there is room."""
    gpus = view.gpus
    if not gpus:
        return _ranks(view, width, height)
    hosts = len({host for host, _ in gpus}) > 1
    for form in _FORMS:
        columns = width // form.width
        if columns and 1 + math.ceil(len(gpus) / columns) <= height:
            names = ["GPUs", "util", "memory", "°C", "power", *(["clock"] if form.clock else [])]
            title = heading("   ".join(names), width, _spread_of(gpus))
            cells = [_gpu(host if hosts else "", gpu, width // columns, form) for host, gpu in gpus]
            return [title, *_grid(cells, columns, height - 1)]
    title = heading("GPUs   util   °C", width, _spread_of(gpus))
    return [title, *_grid([_gpu_short(gpu) for _, gpu in gpus], max(1, width // _SHORT_WIDTH), height - 1)]


def rows_needed(view: View, width: int) -> int:
    """Rows that the panel needs at `width` columns, with its heading; 0 where it has nothing to say."""
    if view.gpus:
        columns = next((width // form.width for form in _FORMS if width >= form.width), 0)
        return 1 + math.ceil(len(view.gpus) / (columns or max(1, width // _SHORT_WIDTH)))
    ranks = math.ceil(len(view.summary.ranks) / max(1, width // _RANK_WIDTH))
    return 1 + ranks + bool(view.gpu_note) if ranks or view.gpu_note else 0


def rows_least(view: View, width: int) -> int:
    """Rows in which all GPUs are still named, with the heading."""
    return 1 + math.ceil(len(view.gpus) / max(1, width // _SHORT_WIDTH)) if view.gpus else 0


def heat(view: View, width: int, height: int) -> list[Line]:
    """Utilisation of each GPU over the last ten minutes, one row a GPU, the newest at the right.

    A column is the mean of its seconds; one without a report is a gap.
    """
    room = max(1, width - 5)
    places = dict.fromkeys((host, gpu.index) for host, gpu in view.gpus)
    histories = {place: view.history.gpu_history.get(place, ()) for place in places}
    newest = max((history[-1][0] for history in histories.values() if history), default=0.0)
    cells: list[Line] = []
    for (_, index), history in histories.items():
        sums, counts = [0.0] * room, [0] * room
        for t, value in history:
            column = room - 1 - int((newest - t) / _HISTORY_SECONDS * room)
            if 0 <= column < room and math.isfinite(value):
                sums[column] += value
                counts[column] += 1
        means = [total / n if n else math.nan for total, n in zip(sums, counts, strict=True)]
        cells.append([(f" {index:>2} ", "dim"), *_heat_row(means)])
    if not histories:
        cells.append([(f" {view.gpu_note or 'no GPU reported'}", "dim")])
    return [heading("utilisation, 10 min", width, "0–100 %"), *_grid(cells, 1, height - 1)]


def _heat_row(means: list[float]) -> Line:
    """Blocks as high as each of the `means`, in the colour of how busy that is."""
    row: Line = []
    for mean, block in zip(means, spark(means, len(means), 0.0, 100.0), strict=True):
        role = "s1" if mean >= _WARM else "warn" if mean >= _IDLE else "bad"
        if row and (row[-1][1] == role or block == " "):
            row[-1] = (row[-1][0] + block, row[-1][1])
        else:
            row.append((block, role))
    return row


def _gpu(host: str, gpu: Gpu, width: int, form: _Form) -> Line:
    util = DASH if gpu.utilisation is None else f"{gpu.utilisation:.0f}%"
    used, total = _gib(gpu.memory_used), _gib(gpu.memory_total)
    temperature = DASH if gpu.temperature is None else f"{gpu.temperature:.0f}°"
    power = DASH if gpu.power is None else f"{gpu.power:.0f}"
    power += "W" if gpu.power_limit is None else f"/{gpu.power_limit:.0f}W"
    hot = gpu.temperature is not None and gpu.temperature >= HOT
    name = f" {host}:{gpu.index}" if host else f" {gpu.index:>2}"
    name += "!" if hot else " "
    rest = f" {util:>4} {f'{used}/{total}G':>9} {temperature:>4} {power:>9} "
    if form.clock:
        rest += f"{DASH if gpu.clock is None else f'{gpu.clock:.0f} MHz':>8} "
    room = max(0, width - len(name) - len(rest))
    drawn: Line = [(" " * room, "")]
    if form.bars or gpu.utilisation is None:
        drawn = _bar(gpu, max(3, room) if form.bars else room)
    return [(name, "warn" if hot else "dim"), *drawn, (rest, "warn" if hot else "")]


def _bar(gpu: Gpu, room: int) -> Line:
    """The utilisation; for a MIG slice, of which the driver has none, its size."""
    if gpu.utilisation is not None:
        return bar(gpu.utilisation / 100, room, "good")
    part = _SLICE.search(gpu.name)
    return [(pad(f"MIG {part[1]}", room), "dim")] if part and room > 7 else [("·" * room, "dim")]


def _gpu_short(gpu: Gpu) -> Line:
    util = DASH if gpu.utilisation is None else f"{gpu.utilisation:.0f}%"
    temperature = DASH if gpu.temperature is None else f"{gpu.temperature:.0f}°"
    hot = gpu.temperature is not None and gpu.temperature >= HOT
    mark, role = ("!", "warn") if hot else (" ", "")
    return [(f" {gpu.index:>2}{mark}", role or "dim"), (f"{util:>4} {temperature:>4}", role)]


def _ranks(view: View, width: int, height: int) -> list[Line]:
    """The ranks of a training on the CPU, each with what it takes of a step by itself."""
    ranks = [rank for _, rank in sorted(view.summary.ranks.items())]
    note = view.gpu_note
    timed = any(rank.times for rank in ranks)
    title = f"ranks   CPU   memory{'   own ms/step' * timed}" if ranks else "devices"
    columns = max(1, width // _RANK_WIDTH)
    late = {one.rank for one in stragglers(ranks)}
    shown = _late_first(ranks, late, columns * (height - 1))
    rows = _grid([_rank(rank, width // columns, rank.rank in late) for rank in shown], columns, height - 1)
    if note and len(rows) + 2 <= height:
        rows = [[(f" {shorten(f'no GPU panel: {note}', width - 2)}", "dim")], *rows]
    elif not ranks:
        rows = [[(" nothing reported yet", "dim")]]
    return [heading(title, width), *rows]


def _rank(rank: Rank, width: int, late: bool) -> Line:
    own = f"{sum(rank.times.values()):>7,.0f} ms" if rank.times else ""
    rest = f" {rank.cpu:>4.0f}% {bytes_(rank.memory):>8}{own} "
    name = _name(rank, late)
    role = "warn" if late else ""
    return [
        (name, role or "dim"),
        *bar(rank.cpu / 100, max(3, width - len(name) - len(rest)), "good"),
        (rest, role),
    ]


def ranks(view: View, width: int, height: int) -> list[Line]:
    """What each rank takes of a step by itself, as bars of the slowest; empty where that is not known."""
    timed = [rank for _, rank in sorted(view.summary.ranks.items()) if rank.times]
    if len(timed) < 2:
        return []
    slowest = max(sum(rank.times.values()) for rank in timed) or 1.0
    late = {one.rank for one in stragglers(timed)}
    columns = max(1, width // _RANK_WIDTH)
    if 1 + math.ceil(len(timed) / columns) > height:
        columns = max(1, width // 20)
    shown = _late_first(timed, late, columns * (height - 1))
    cells = [_own(rank, width // columns, slowest, rank.rank in late) for rank in shown]
    said = f"{len(late)} hold{'s' * (len(late) == 1)} the others up" if late else "alike"
    return [heading("ranks   own part of a step, ms", width, said), *_grid(cells, columns, height - 1)]


def ranks_needed(view: View, width: int) -> int:
    """Rows that `ranks` needs, with its heading; 0 where it is empty."""
    timed = sum(bool(rank.times) for rank in view.summary.ranks.values())
    return 1 + math.ceil(timed / max(1, width // _RANK_WIDTH)) if timed > 1 else 0


def _own(rank: Rank, width: int, slowest: float, late: bool) -> Line:
    own = sum(rank.times.values())
    name, rest = _name(rank, late), f" {own:>6,.0f} "
    room = max(3, width - len(name) - len(rest))
    role = "warn" if late else "good"
    return [(name, "warn" if late else "dim"), *bar(own / slowest, room, role), (rest, role if late else "")]


def _name(rank: Rank, late: bool) -> str:
    """The number of a rank, behind the name of its host where there are several."""
    number = f"{clean(rank.host)}:{rank.rank}" if rank.host else f"{rank.rank:>2}"
    return f" {number}{'!' if late else ' '}"


def _late_first(ranks: list[Rank], late: set[int], places: int) -> list[Rank]:
    """The `ranks`, those that are `late` first where not all of them have a place."""
    return sorted(ranks, key=lambda rank: rank.rank not in late) if len(ranks) > places else ranks


def _grid(cells: list[Line], columns: int, height: int) -> list[Line]:
    """Lay out cells side by side, row by row; the last place counts those that have none."""
    places = columns * max(0, height)
    if len(cells) > places > 0:
        cells = [*cells[: places - 1], [(f" … {len(cells) - places + 1} more", "dim")]]
    rows = [cells[i : i + columns] for i in range(0, min(len(cells), places), columns)]
    return [[piece for cell in row for piece in cell] for row in rows]


def _spread_of(gpus: list[tuple[str, Gpu]]) -> str:
    """Range of the utilisations: a slow GPU holds all others up."""
    used = [gpu.utilisation for _, gpu in gpus if gpu.utilisation is not None]
    return f"util {min(used):.0f}–{max(used):.0f}%" if len(used) > 1 else ""


def _gib(count: int | None) -> str:
    return DASH if count is None else f"{count / 2**30:.0f}"
