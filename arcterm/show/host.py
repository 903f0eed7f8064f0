"""The reading of a host as lines of text: drawn for a screen, or one after another for a log."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len

from arcterm.host.processes import Order
from arcterm.host.readings import Disk, HostGpu, Link, Process, Reading
from arcterm.runs.events import Gpu
from arcterm.show.lines import GAP, Line, Piece, bar, heading, pad, shorten, spark, spread, width_of
from arcterm.show.words import DASH
from arcterm.text import byte_size, clean, duration

PROCESS_HEAD = 2
"""Lines above the first process."""

_KEPT = 300  # readings, ten minutes of them at one every two seconds
_NARROW, _WIDE, _NAMED = 72, 110, 60
_SHORT_GPU = 24
_FULL, _NEARLY_FULL = 0.98, 0.9
_HOT = 83.0
_ORDERS = {"cpu": "CPU", "memory": "memory", "gpu": "GPU memory"}


@dataclass
class HostHistory:
    """Percentages of the last readings: busy cores, and utilisation by GPU."""

    cores: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    gpus: dict[int, deque[float]] = field(default_factory=dict)

    def take(self, reading: Reading) -> None:
        """Add a reading; what it does not know is a gap."""
        self.cores.append(math.nan if reading.cores.all is None else reading.cores.all)
        for each in reading.gpus:
            kept = self.gpus.setdefault(each.gpu.index, deque(maxlen=_KEPT))
            kept.append(math.nan if each.gpu.utilisation is None else each.gpu.utilisation)


def title(reading: Reading, width: int, state: str = "") -> list[Line]:
    """The host's name, how long it is up, its load, and the time of the reading."""
    cores = reading.cores
    load = "load " + " ".join(f"{each:.1f}" for each in cores.load) if cores.load else ""
    left: list[Piece] = [(clean(reading.host), "head"), (f"up {duration(reading.uptime)}", "dim"), (load, "")]
    right: list[Piece] = [(state, "warn"), (_clock(reading), "dim")]
    return [spread([item for item in left if item[0]], [item for item in right if item[0]], width)]


def machine(reading: Reading, history: HostHistory, width: int, height: int) -> list[Line]:
    """Cores, memory, GPUs, disks and network, in two columns where there is room."""
    if width < _WIDE:
        first = [*_cores(reading, history, width), *_memory(reading, width)]
        last = [*_disks(reading, width), *_links(reading, width)]
        room = max(2, height - len(first) - len(last))
        return [*first, *_gpus(reading, history, width, room), *last][:height]
    half = width // 2
    left = [*_cores(reading, history, half - 1), *_memory(reading, half - 1)]
    right = [*_disks(reading, width - half), *_links(reading, width - half)]
    top = _beside(left, right, half)
    return [*top, *_gpus(reading, history, width, max(2, height - len(top)))][:height]


def processes(reading: Reading, order: Order, cursor: int, width: int, height: int) -> list[Line]:
    """The first processes with the runs that own them; `cursor` -1 marks none."""
    note = reading.notes.get("processes") or reading.notes.get("gpu processes") or ""
    count = f"{reading.process_count} in all"
    columns = _columns(reading, width)
    names = " ".join(pad(column.name, column.width, column.right) for column in columns)
    lines = [heading(f"processes by {_ORDERS[order]}", width, count), [(shorten(names, width), "dim")]]
    room = height - len(lines) - bool(note)
    for number, each in enumerate(reading.processes[: max(0, room)]):
        cells = [(pad(column.text(each), column.width, column.right), column.role) for column in columns]
        line = [(text + " " * (cell < len(cells) - 1), role) for cell, (text, role) in enumerate(cells)]
        lines.append([("".join(text for text, _ in line), "cursor")] if number == cursor else line)
    if note:
        lines.append([(shorten(f" {clean(note)}", width), "dim")])
    return lines[:height]


def plain(reading: Reading, rows: int = 3) -> list[str]:
    """The reading in a few lines without drawing, each with its subject first."""
    cores, memory = reading.cores, reading.memory
    lines = [f"{_clock(reading)} {reading.host}"]
    share = DASH if cores.all is None else f"{cores.all:.0f} % busy"
    lines.append(f"cores      {share} of {cores.count}; {_waits(reading)}".rstrip("; "))
    lines.append(f"memory     {byte_size(memory.used)} of {byte_size(memory.total)}{_limit_words(reading)}")
    for each in reading.gpus:
        lines.append(f"gpu {each.gpu.index:<6} {', '.join(_gpu_words(each.gpu))}, {each.gpu.name}")
        lines += [f"  slice    {', '.join(_gpu_words(part))}, {part.name}" for part in each.slices]
    if note := reading.notes.get("gpus"):
        lines.append(f"gpu        {note}")
    lines += [f"disk       {disk.path}: {_disk_words(disk)}" for disk in reading.disks]
    lines.append(f"disk       {_flow('read', reading.disk_read)}, {_flow('written', reading.disk_written)}")
    lines += [f"network    {link.name}: {_link_words(link)}" for link in _busiest(reading, 3)]
    lines += [f"process    {_process_words(each)}" for each in reading.processes[:rows]]
    known = ("gpus",)
    lines += [f"note       {name} {text}" for name, text in reading.notes.items() if name not in known]
    return [clean(line) for line in lines]


def _cores(reading: Reading, history: HostHistory, width: int) -> list[Line]:
    cores = reading.cores
    lines = [heading("cores", width, _waits(reading))]
    if note := reading.notes.get("cores"):
        return [*lines, [(shorten(f" {clean(note)}", width), "warn")]]
    if cores.all is None:
        return [*lines, [(" measuring …", "dim")]]
    past = max(8, width - 34)
    role = "warn" if cores.all > 95 else "good"
    first: Line = [(" ", ""), *bar(cores.all / 100, 20, role), (f" {cores.all:4.0f} %  ", "bold")]
    lines.append([*first, (spark(list(history.cores), past, 0.0, 100.0), "s1")])
    room = width - 2
    signs = spark(cores.busy, len(cores.busy), 0.0, 100.0)
    if len(signs) > 2 * room:  # several cores a sign
        step = math.ceil(len(signs) / (2 * room))
        groups = [cores.busy[i : i + step] for i in range(0, len(cores.busy), step)]
        signs = spark([sum(group) / len(group) for group in groups], len(groups), 0.0, 100.0)
    if len(cores.busy) > 1:
        lines += [[(f" {signs[i : i + room]}", "accent")] for i in range(0, len(signs), room)]
    return lines


def _waits(reading: Reading) -> str:
    """What keeps the cores from working, and what keeps this process from the cores."""
    cores = reading.cores
    words = [] if cores.waiting is None or cores.waiting < 1 else [f"{cores.waiting:.0f} % wait for disks"]
    if cores.usable and cores.usable < cores.count:
        words.append(f"{cores.usable} of {cores.count} may be used here")
    if cores.allowed is not None and cores.allowed < (cores.usable or cores.count):
        words.append(f"the time of {cores.allowed:g} is granted here")
    return ", ".join(words) or f"{cores.count} core{'s' * (cores.count != 1)}"


def _memory(reading: Reading, width: int) -> list[Line]:
    memory = reading.memory
    swap = f"{byte_size(memory.swap_used)} of {byte_size(memory.swap_total)} swapped"
    lines = [heading("memory", width, swap if memory.swap_total else "no swap")]
    if note := reading.notes.get("memory"):
        return [*lines, [(shorten(f" {clean(note)}", width), "warn")]]
    lines.append(_level(memory.used, memory.total, f"{_sizes(memory.used, memory.total)}", width))
    if memory.limit:
        used = memory.limit_used or 0
        lines.append(_level(used, memory.limit, f"{_sizes(used, memory.limit)} granted here", width))
    return lines


def _limit_words(reading: Reading) -> str:
    memory = reading.memory
    if memory.limit is None:
        return ""
    return f"; {byte_size(memory.limit_used or 0)} of the {byte_size(memory.limit)} granted here"


def _gpus(reading: Reading, history: HostHistory, width: int, room: int) -> list[Line]:
    found, note = reading.gpus, reading.notes.get("gpus", "")
    if not found:
        return [heading("GPUs", width), [(shorten(f" {clean(note) or 'none'}", width), "dim")]]
    lines = [heading("GPUs", width, clean(note))]
    whole = [line for each in found for line in _gpu(each, history, width)]
    if len(whole) < room:
        return [*lines, *whole]
    columns = max(1, width // _SHORT_GPU)
    cells = [_gpu_short(each.gpu) for each in found]
    rows = math.ceil(len(cells) / columns)
    return [*lines, *([piece for cell in cells[row::rows] for piece in cell] for row in range(rows))]


def _gpu(each: HostGpu, history: HostHistory, width: int) -> list[Line]:
    """A GPU in one line, with a line for each of its slices."""
    gpu = each.gpu
    busy = DASH if gpu.utilisation is None else f"{gpu.utilisation:.0f} %"
    hot = gpu.temperature is not None and gpu.temperature >= _HOT
    memory, heat, power, clock = _gpu_words(gpu)[1:]
    items: list[Line | Piece] = [
        (f"{gpu.index:>2}", "bold"),
        [*bar((gpu.utilisation or 0) / 100, 10, "good"), (f" {busy:>5}", "bold")],
        (f"{memory:>19}", ""),
        (f"{heat:>5}{'!' * hot}", "warn" if hot else ""),
        (f"{power:>9}", ""),
        (f"{clock:>8}", "dim"),
        (spark(list(history.gpus.get(gpu.index, ())), 24, 0.0, 100.0), "s1"),
        (clean(gpu.name), "dim"),
    ]
    lines = [spread(items, [], width)]
    for part in each.slices:
        words = [f"   slice {clean(part.name)}", *_gpu_words(part)[1:2]]
        lines.append([(shorten(GAP.join(words), width), "dim")])
    return lines


def _gpu_short(gpu: Gpu) -> Line:
    busy = DASH if gpu.utilisation is None else f"{gpu.utilisation:.0f} %"
    share = gpu.memory_used / gpu.memory_total * 100 if gpu.memory_used and gpu.memory_total else None
    memory = DASH if share is None else f"{share:.0f} % full"
    return [(f" {gpu.index:>2}", "bold"), (pad(f" {busy:>5} {memory:>9}", _SHORT_GPU - 3), "")]


def _gpu_words(gpu: Gpu) -> list[str]:
    """Utilisation, memory, temperature, power and clock; a dash for what the driver does not answer."""

    def shown(value: float | None, unit: str) -> str:
        return DASH if value is None else f"{value:.0f} {unit}"

    used = DASH if gpu.memory_used is None else f"{gpu.memory_used / 2**30:.1f}"
    total = DASH if gpu.memory_total is None else f"{gpu.memory_total / 2**30:.0f}"
    memory = DASH if used == total == DASH else f"{used} of {total} GiB"
    power = shown(gpu.power, "W")
    if gpu.power is not None and gpu.power_limit is not None:
        power = f"{gpu.power:.0f}/{gpu.power_limit:.0f} W"
    heat = shown(gpu.temperature, "°C")
    return [shown(gpu.utilisation, "%"), memory, heat, power, shown(gpu.clock, "MHz")]


def _disks(reading: Reading, width: int) -> list[Line]:
    flow = f"{_flow('read', reading.disk_read)}, {_flow('written', reading.disk_written)}"
    lines = [heading("disks", width, reading.notes.get("disk", "") or flow)]
    name = min(24, max(8, *(len(disk.path) for disk in reading.disks))) if reading.disks else 8
    for disk in reading.disks:
        path = pad(clean(disk.path), name)
        if disk.note:
            lines.append([(f" {path} ", ""), (shorten(clean(disk.note), width - name - 3), "warn")])
        else:
            lines.append(_level(disk.used, disk.used + disk.free, _disk_words(disk), width, path))
    return lines


def _disk_words(disk: Disk) -> str:
    return disk.note or f"{byte_size(disk.free)} free of {byte_size(disk.total)}"


def _links(reading: Reading, width: int) -> list[Line]:
    busiest = _busiest(reading, 3)
    if note := reading.notes.get("network"):
        return [heading("network", width), [(shorten(f" {clean(note)}", width), "warn")]]
    return [
        heading("network", width, "" if busiest else "no interface"),
        *([(f" {pad(clean(link.name), 14)} ", ""), (_link_words(link), "")] for link in busiest),
    ]


def _busiest(reading: Reading, most: int) -> list[Link]:
    def traffic(link: Link) -> float:
        return (link.received or 0.0) + (link.sent or 0.0)

    moving = [link for link in reading.links if traffic(link)]
    return sorted(moving or reading.links[:1], key=traffic, reverse=True)[:most]


def _link_words(link: Link) -> str:
    return f"{_flow('in', link.received)}, {_flow('out', link.sent)}"


def _flow(what: str, rate: float | None) -> str:
    return f"{what} {DASH if rate is None else f'{byte_size(rate)}/s'}"


def _level(used: int, total: int, words: str, width: int, name: str = "") -> Line:
    """A bar of how much is used, with a sign where it is nearly full."""
    share = used / total if total else 0.0
    sign, role = ("!", "bad") if share > _FULL else ("!", "warn") if share > _NEARLY_FULL else (" ", "good")
    room = max(6, min(20, width - len(words) - len(name) - 10))
    start: Line = [(f" {name} ", "")] if name else [(" ", "")]
    return [*start, *bar(share, room, role), (f" {share * 100:3.0f} %{sign} ", role), (words, "")]


def _sizes(used: int, total: int) -> str:
    return f"{byte_size(used)} of {byte_size(total)}"


class _Column(NamedTuple):
    """A column of the processes; `right` aligns numbers."""

    name: str
    width: int
    text: Callable[[Process], str]
    role: str = ""
    right: bool = False


def _columns(reading: Reading, width: int) -> list[_Column]:
    """The columns that fit and have something in them; the command takes what is left."""
    shown = reading.processes
    runs = max((cell_len(_run(each)) for each in shown), default=0)
    widest = 40 if width >= _WIDE else 26 if width >= _NARROW else 18
    columns = [
        _Column("pid", 8, lambda each: str(each.pid), "dim", right=True),
        _Column("user", 8, lambda each: clean(each.user), "dim"),
        _Column("cpu %", 6, lambda each: DASH if each.cpu is None else f"{each.cpu:.1f}", "bold", right=True),
        _Column("memory", 9, lambda each: byte_size(each.memory), right=True),
        _Column("GPU", 11, _held, "s1"),
        _Column("run", min(runs, widest), _run, "accent"),
    ]
    gpus = any(each.gpu_memory for each in shown)
    absent = ("user",) * (width < _NARROW) + ("GPU",) * (not gpus) + ("run",) * (not runs)
    columns = [column for column in columns if column.name not in absent]
    left = width - sum(column.width + 1 for column in columns)
    return [*columns, _Column("command", max(0, left), _command)]


def _run(each: Process) -> str:
    """``rank 0 of r50-arcface-ab12``: a process's part in a run, whose id is without its date."""
    name = Path(each.run).name
    short = name[17:] if len(name) > 17 and name[15:17] == "Z-" else name
    return clean(f"{each.role} of {short}") if each.run else ""


def _command(each: Process) -> str:
    """A command line whose program and script are without their folders."""
    words = clean(each.command).split(" ")
    words[:2] = [word.rpartition("/")[2] if word.startswith("/") else word for word in words[:2]]
    return " ".join(words).strip() or f"[{clean(each.name)}]"


def _held(each: Process) -> str:
    """``0,1 31 GiB``: the GPUs whose memory a process holds, and how much in all."""
    if not each.gpu_memory:
        return ""
    known = [held for held in each.gpu_memory.values() if held is not None]
    total = f" {sum(known) / 2**30:.1f}G" if known else ""
    return ",".join(map(str, sorted(each.gpu_memory))) + total


def _process_words(each: Process) -> str:
    cpu = "" if each.cpu is None else f"{each.cpu:.0f} % of a core, "
    run = f"; {each.role} of {Path(each.run).name}" if each.run else ""
    held = f", GPU {_held(each)}" if each.gpu_memory else ""
    words = shorten(_command(each), _NAMED)
    return f"{each.pid} {each.user}: {cpu}{byte_size(each.memory)}{held}{run}; {words}"


def _clock(reading: Reading) -> str:
    return time.strftime("%H:%M:%S", time.localtime(reading.t))


def _beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """Two columns, the left one `width` cells wide."""
    lines = []
    for number in range(max(len(left), len(right))):
        first = left[number] if number < len(left) else []
        gap = " " * max(0, width - width_of(first))
        lines.append([*first, (gap, ""), *(right[number] if number < len(right) else [])])
    return lines
