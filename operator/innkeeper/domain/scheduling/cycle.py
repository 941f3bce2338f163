"""One scheduling decision, in four steps: filter by the rules, count why not, score, choose.

The score prefers the host with the largest part of its memory, then of its processors, unpromised (a plain spread).
Equal hosts are told apart by a hash of host and Guest ID, so that a second run decides the same.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.domain.scheduling.facts import HostFacts, Request
from innkeeper.domain.scheduling.rules.registry import RULES


@dataclass(frozen=True)
class Placement:
    """The host that was chosen, and its cluster."""

    host: str
    cluster: str


@dataclass(frozen=True)
class NoHostFits:
    """No host fits; the message counts hosts by the first rule that each fails."""

    message: str


def schedule(request: Request, hosts: Iterable[HostFacts]) -> Placement | NoHostFits:
    """Choose a host for a guest."""
    failed: Counter[str] = Counter()
    fitting: list[HostFacts] = []
    for host in hosts:
        lack = next((rule.lacks for rule in RULES if not rule.passes(request, host)), None)
        if lack is None:
            fitting.append(host)
        else:
            failed[lack] += 1
    if not fitting:
        return NoHostFits(_why_not(failed))
    best = max(fitting, key=lambda host: (*_score(request, host), _tie(request, host)))
    return Placement(best.name, best.cluster)


def _score(request: Request, host: HostFacts) -> tuple[float, float]:
    left = host.free - request.amounts
    return (
        round(left.memory_bytes / max(1, host.allocatable.memory_bytes), 3),
        round(left.cpu_millis / max(1, host.allocatable.cpu_millis), 3),
    )


def _tie(request: Request, host: HostFacts) -> bytes:
    return hashlib.sha256(f"{request.guest_id}\0{host.name}".encode()).digest()


def _why_not(failed: Counter[str]) -> str:
    total = sum(failed.values())
    if not total:
        return "there are no hosts: create a Host and let its agent join"
    counts = ", ".join(
        f"{count} {lack}" for lack, count in sorted(failed.items(), key=lambda each: (-each[1], each[0]))
    )
    return f"0 of {total} hosts fit: {counts}"
