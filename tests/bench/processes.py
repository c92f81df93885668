"""What processes cost: CPU time and memory of a program and all its children, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12  # fields of /proc/PID/stat after the command's name


def family(pid: int) -> Iterator[int]:
    """Yield a process and everything it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def cpu_seconds(pid: int) -> float:
    """Add up what a program and its children have used so far."""
    return sum(_cpu(each) for each in family(pid))


def resident_mb(pid: int) -> float:
    """Return the resident memory of one process in MB (10^6 bytes)."""
    return _memory(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """Return the most that was resident since the start, or since `forget_peak`."""
    return _memory(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Begin to look for the peak anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / TICKS
