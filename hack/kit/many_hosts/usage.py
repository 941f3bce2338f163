"""What a process uses, as the kernel counts it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # of what follows the command's name in /proc/PID/stat
MIB = 1024


@dataclass(frozen=True)
class Usage:
    """Processor seconds so far, and when that was."""

    cpu_s: float
    at: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        """Read what a process has used."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls((int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS, time.monotonic())

    def cores_since(self, before: "Usage") -> float:
        """Return how many cores were used since then."""
        return (self.cpu_s - before.cpu_s) / (self.at - before.at)


def resident_mib(pid: int) -> float:
    """Return the memory of a process that is its own or shared, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / MIB
    return 0.0
