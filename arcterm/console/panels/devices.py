"""GPUs, or without them the ranks' processors; a dash stands for a value that the driver lacks."""

from __future__ import annotations

import math

from arcterm.console.view import View
from arcterm.runs.events import Gpu, Rank
from arcterm.show.lines import Line, bar, heading, shorten, spark
from arcterm.show.words import DASH, bytes_

_GPU_WIDTH = 43
_GPU_PLAIN = 33
_GPU_SHORT = 13
_RANK_WIDTH = 32
_HOT = 83.0


def devices(view: View, width: int, height: int) -> list[Line]:
    """The GPUs in the fullest form that fits, side by side where there is room."""
    gpus = view.gpus
    if not gpus:
        return _ranks(view, width, height)
    hosts = len({host for host, _ in gpus}) > 1
    for columns, bars in _forms(width):
        if 1 + math.ceil(len(gpus) / columns) <= height:
            title = heading("GPUs   util   memory   °C   power", width, _spread_of(gpus))
            cells = [_gpu(host if hosts else "", gpu, width // columns, bars) for host, gpu in gpus]
            return [title, *_grid(cells, columns)]
    title = heading("GPUs   util   °C", width, _spread_of(gpus))
    return [title, *_grid([_gpu_short(gpu) for _, gpu in gpus], max(1, width // _GPU_SHORT))][:height]


def rows_needed(view: View, width: int) -> int:
    """Rows that the panel needs at `width` columns, with its heading."""
    if view.gpus:
        columns = next((columns for columns, _ in _forms(width)), max(1, width // _GPU_SHORT))
        return 1 + math.ceil(len(view.gpus) / columns)
    ranks = math.ceil(len(view.summary.ranks) / max(1, width // _RANK_WIDTH))
    return 1 + bool(view.gpu_note) + ranks


def _forms(width: int) -> list[tuple[int, bool]]:
    """(columns, with bars) of the complete forms, the best first."""
    forms = ((width // _GPU_WIDTH, True), (width // _GPU_PLAIN, False))
    return [(columns, bars) for columns, bars in forms if columns]


def heat(view: View, width: int, height: int) -> list[Line]:
    """Utilisation of each GPU over time, one row a GPU, the newest at the right."""
    lines = [heading("utilisation over time", width, "0–100 %")]
    for host, gpu in view.gpus:
        values = list(view.history.gpu_history.get((host, gpu.index), ()))
        lines.append([(f" {gpu.index:>2} ", "dim"), (spark(values, max(1, width - 5), 0.0, 100.0), "s1")])
    if not view.gpus:
        lines.append([(f" {view.gpu_note or 'no GPU reported'}", "dim")])
    return lines[:height]


def _gpu(host: str, gpu: Gpu, width: int, bars: bool) -> Line:
    util = DASH if gpu.utilisation is None else f"{gpu.utilisation:.0f}%"
    used, total = _gib(gpu.memory_used), _gib(gpu.memory_total)
    temperature = DASH if gpu.temperature is None else f"{gpu.temperature:.0f}°"
    power = DASH if gpu.power is None else f"{gpu.power:.0f}"
    power += "W" if gpu.power_limit is None else f"/{gpu.power_limit:.0f}W"
    name = f" {host}:{gpu.index} " if host else f" {gpu.index:>2} "
    rest = f" {util:>4} {f'{used}/{total}G':>9} {temperature:>4} {power:>9} "
    hot = gpu.temperature is not None and gpu.temperature >= _HOT
    if not bars:
        return [(name, "dim"), (rest, "warn" if hot else ""), (" " * (width - len(name) - len(rest)), "")]
    room = max(3, width - len(name) - len(rest))
    drawn = [("·" * room, "dim")] if gpu.utilisation is None else bar(gpu.utilisation / 100, room, "good")
    return [(name, "dim"), *drawn, (rest, "warn" if hot else "")]


def _gpu_short(gpu: Gpu) -> Line:
    util = DASH if gpu.utilisation is None else f"{gpu.utilisation:.0f}%"
    temperature = DASH if gpu.temperature is None else f"{gpu.temperature:.0f}°"
    return [(f" {gpu.index:>2} ", "dim"), (f"{util:>4} {temperature:>4}", "")]


def _ranks(view: View, width: int, height: int) -> list[Line]:
    ranks = [rank for _, rank in sorted(view.summary.ranks.items())]
    note = view.gpu_note
    title = "ranks   CPU   memory" if ranks else "devices"
    lines = [heading(title, width)]
    if note:
        lines.append([(f" {shorten(f'no GPU panel: {note}', width - 2)}", "dim")])
    elif not ranks:
        lines.append([(" nothing reported yet", "dim")])
    columns = max(1, width // _RANK_WIDTH)
    return [*lines, *_grid([_rank(rank, width // columns) for rank in ranks], columns)][:height]


def _rank(rank: Rank, width: int) -> Line:
    rest = f" {rank.cpu:>4.0f}% {bytes_(rank.memory):>8} "
    name = f" {rank.rank:>2} "
    return [(name, "dim"), *bar(rank.cpu / 100, max(3, width - len(name) - len(rest)), "good"), (rest, "")]


def _grid(cells: list[Line], columns: int) -> list[Line]:
    """Lay out cells side by side, row by row."""
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return [[piece for cell in row for piece in cell] for row in rows]


def _spread_of(gpus: list[tuple[str, Gpu]]) -> str:
    """Range of the utilisations: a slow GPU holds all others up."""
    used = [gpu.utilisation for _, gpu in gpus if gpu.utilisation is not None]
    return f"util {min(used):.0f}–{max(used):.0f}%" if len(used) > 1 else ""


def _gib(count: int | None) -> str:
    return DASH if count is None else f"{count / 2**30:.0f}"
