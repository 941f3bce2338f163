"""Tables for people, and the figures of the last line. Pure but for printing."""

import os
import statistics
from collections.abc import Sequence

from kit import steps
from kit.first_guest.real_guest import Run
from kit.first_guest.writes import Count

KEYS = (
    "writes_per_guest",
    "apply_to_assignment_p50_ms",
    "apply_to_assignment_p99_ms",
    "agent_own_ms",
    "libvirt_ms",
    "qemu_ms",
)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least so many per cent are not above."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, rank - 1)]


def print_writes(counted: Count, *, guests: int) -> None:
    """Print the writes by identity, verb and kind."""
    steps.say("")
    steps.say(f"{'identity':12} {'verb':8} {'kind':28} {'writes':>7} {'refused':>8} {'a guest':>8}")
    for apart in (False, True):
        for row in counted.rows(apart=apart):
            number = counted.asked[row]
            share = f"{number / guests:.2f}" if not apart else "apart"
            refused = counted.refused[row]
            steps.say(f"{row.who:12} {row.verb:8} {row.kind:28} {number:>7} {refused:>8} {share:>8}")
        if not apart:
            counters, total = counted.of_counters, counted.of_guests
            _print_sum("guests' own", total - counters, guests=guests)
            _print_sum("counters", counters, guests=guests)
            _print_sum("together", total, guests=guests)


def _print_sum(title: str, number: int, *, guests: int) -> None:
    steps.say(f"{title:12} {'':37} {number:>7} {'':8} {number / guests:>8.2f}")


def print_times(ordered: Sequence[float], *, late_ms: float) -> None:
    """Print how long it took from apply to Assignment, and how busy the machine was."""
    steps.say("")
    shown = {f"P{percent}": percentile(ordered, percent) for percent in (50, 90, 99, 100)}
    words = ", ".join(f"{name} {value:.0f} ms" for name, value in shown.items())
    steps.say(f"apply to Assignment: {words} ({len(ordered)} guests)")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    steps.say(f"requests were sent at most {late_ms:.0f} ms late; load of {os.cpu_count()} cores: {load}")


def print_runs(runs: Sequence[Run]) -> None:
    """Print where the time of each real guest went."""
    steps.say("")
    head = f"{'run':>4} {'agent ms':>9} {'image ms':>9} {'libvirt ms':>11}"
    steps.say(f"{head} {'order to report ms':>19} {'QEMU by hand ms':>16}")
    for number, run in enumerate(runs, start=1):
        steps.say(
            f"{number:>4} {run.agent_ms:>9.1f} {run.image_ms:>9.1f} {run.libvirt_ms:>11.1f} {run.whole_ms:>19.1f}"
            f" {run.qemu_ms:>16.1f}"
        )


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """Return the medians of the real guests."""
    columns = {"agent_own_ms": "agent_ms", "libvirt_ms": "libvirt_ms", "qemu_ms": "qemu_ms"}
    return {
        key: round(statistics.median(getattr(run, column) for run in runs), 1)
        for key, column in columns.items()
    }
