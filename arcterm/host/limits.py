"""Limits of the control groups that this process is in, as a container or a scheduler sets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60  # what version 1 calls no limit is near 2⁶³


def memory_limits(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> Iterator[tuple[int, int]]:
    """Limit and use of each group with a limit, bytes; what can be freed is not used."""
    for group, old in _groups("memory", root, membership):
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
        )
        limit, used = (_number(group / name) for name in names)
        if limit is not None and used is not None and limit < _UNLIMITED:
            yield limit, max(0, used - _reclaimable(group / "memory.stat"))


def cores_allowed(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float | None:
    """The time of how many cores the groups grant; None without a limit."""
    found = []
    for group, old in _groups("cpu", root, membership):
        if old:
            quota, period = (_number(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        else:
            quota, period = _pair(group / "cpu.max")
        if quota is not None and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def _groups(controller: str, root: Path, membership: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of this process's groups and of those above, and whether they are of version 1."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        folder = top / own.lstrip("/")
        # a container may see its own group as the top one, whatever the path says
        for group in {folder, *(p for p in folder.parents if p.is_relative_to(top)), top}:
            yield group, bool(controllers)


def _pair(path: Path) -> tuple[int | None, int | None]:
    try:
        quota, period = path.read_text().split()
        return int(quota), int(period)
    except (OSError, ValueError):  # "max 100000"
        return None, None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max"
        return None


def _reclaimable(path: Path) -> int:
    """Bytes of the page cache that count as use and are given up when memory is short."""
    try:
        rows = dict(line.split() for line in path.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    prefix = "total_" if "total_inactive_file" in rows else ""
    return sum(int(rows.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
