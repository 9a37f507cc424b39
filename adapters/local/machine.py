"""How much of this machine is ours: processors and memory, as a container may have less."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
RUNS_PER_CORE = 25
RUN_BYTES = 64 * 1024 * 1024


def processors(cgroup: Path = CGROUP) -> int:
    """Processors this process may use, at least one; a share of one counts as one."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    most = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        most = min(most, int(quota) // int(period))
    return max(1, most)


def memory_bytes(cgroup: Path = CGROUP) -> int:
    """Memory this process may use."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(cgroup / "memory.max")
    return min(most, int(limit)) if limit.isdigit() else most


def runs_carried(cores: int, memory: int) -> int:
    """How many live runs a machine carries: 25 per processor, and half of the memory at 64 MiB
    each. Most runs wait for their model most of the time.
    """
    return max(1, min(RUNS_PER_CORE * cores, memory // 2 // RUN_BYTES))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
