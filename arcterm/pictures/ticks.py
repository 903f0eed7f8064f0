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
    if value and abs(value) < 1e-3:
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
