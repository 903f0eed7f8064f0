"""Ticks of an axis: their places and labels."""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers in low … high, at most about `most`: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0 or most < 1:
        return [low]
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    start = math.ceil(low / step - 1e-9)
    return [i * step for i in range(start, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Exponents in low … high of round numbers: powers of ten, between them 2 and 5 if there is room."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for multiples in ((1, 2, 5), (1, 3), (1,)):
        found = [e + math.log10(m) for e in decades for m in multiples]
        inside = [v for v in found if low - 1e-9 <= v <= high + 1e-9]
        if len(inside) <= most:
            break
    return inside if len(inside) >= 2 else [low, high]


def label(value: float, step: float) -> str:
    """`value` with as many decimals as `step` needs; thousands as k, millions as M."""
    if not value:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    if abs(value) >= 1e6:
        return f"{value / 1e6:.4g}M"
    if abs(value) >= 1e4 or (abs(value) >= 1000 and step >= 100):
        return f"{value / 1e3:.4g}k"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
    return f"{value:.{min(decimals, 6)}f}"


def power(exponent: float) -> str:
    """Ten to the `exponent`, in words of an axis: ``1e-6``, ``0.01``, ``500``."""
    value = 10**exponent
    return f"{value:.0e}".replace("e-0", "e-") if value < 1e-3 or value >= 1e6 else f"{value:.4g}"


def whole_ticks(low: float, high: float, most: int) -> list[float]:
    """Ticks that are whole numbers, as of steps."""
    found = ticks(low, high, most)
    if len(found) > 1 and found[1] - found[0] < 1:
        return [float(value) for value in range(math.ceil(low), math.floor(high) + 1)]
    return found


_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """Round times in low … high seconds: of seconds, minutes, hours or days."""
    days = ticks(low / 86400, high / 86400, most)
    fits = (step for step in _TIMES if (high - low) / step <= most)
    step = next(fits, None)
    if step is None:
        return [day * 86400 for day in days]
    return [float(i * step) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def time_label(seconds: float) -> str:
    """``0``, ``40s``, ``12m``, ``1h30``, ``2d6h``: two units at most, rounded."""
    whole = round(seconds)
    if abs(whole) < 60:
        return f"{whole}s" if whole else "0"
    if whole < 0:
        return "-" + time_label(-whole)
    minutes = round(whole / 60)
    if whole < 600 and whole % 60:
        return f"{whole // 60}m{whole % 60:02d}"
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}" if minutes else f"{hours}h"
    days, hours = divmod(round(whole / 3600), 24)
    return f"{days}d{hours}h" if hours else f"{days}d"
