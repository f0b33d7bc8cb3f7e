"""How many processor cores this process may use: not all of the machine's, in a container."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def cores() -> int:
    """The cores that the system allows this process, at least 1.

    The smaller of its affinity (`taskset`, a container's cpuset) and its cgroups' quota of
    processor time (`docker run --cpus`, a Kubernetes limit), a part of a core counted as one.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def _quota() -> float:
    """Cores' worth of processor time that this process' cgroups grant it; infinity where none do.

    A limit holds for all groups below it, so the least on the way up counts. Version 2 has one
    tree; version 1 has one for each kind of resource, mounted under the kind's name.
    """
    least = math.inf
    for line in _text(OWN_CGROUP).splitlines():
        _number, kinds, path = (line.split(":", 2) + ["", ""])[:3]
        if kinds and "cpu" not in kinds.split(","):
            continue
        for root in (CGROUPS / kinds, CGROUPS / "cpu") if kinds else (CGROUPS,):
            group = root / path.lstrip("/")
            # in a container the path may be the host's, of which only the root is seen here
            up = [folder for folder in (group, *group.parents) if root in (folder, *folder.parents)]
            least = min([least, *map(_limit, up)])
    return least


def _limit(folder: Path) -> float:
    """What one cgroup grants: `cpu.max` of version 2, `cpu.cfs_*` of version 1 (microseconds)."""
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us"),
        _text(folder / "cpu.cfs_period_us"),
    ]
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or no such file
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
