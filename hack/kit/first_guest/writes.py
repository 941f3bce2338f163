"""Counts the writes of Innkeeper's identities in the API server's audit log.

Each request that wants to change something is a write, one that was refused too: the API server had the work. Leases
and HostAgent statuses come whether guests are built or not, and reviews (of tokens, of access) change nothing: these are
counted apart. Everything else is a guest's cost, whatever its kind.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.lab import identities

_ACCOUNTS = "system:serviceaccount:"
_SYSTEM = f"{_ACCOUNTS}{identities.SYSTEM_NAMESPACE}:"
_REFUSED = 400
HEARTBEATS = frozenset({"leases", "hostagents/status"})
COUNTERS = frozenset({"clusters/status", "hosts/status", "ippools/status"})
REVIEWS = frozenset({"tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews"})


@dataclass(frozen=True, order=True)
class Row:
    """One kind of write."""

    who: str
    verb: str
    kind: str


@dataclass(frozen=True)
class Count:
    """How often each kind of write was asked for, and how often it was refused."""

    asked: Counter[Row]
    refused: Counter[Row]

    def rows(self, *, apart: bool) -> list[Row]:
        """Return the rows that are a guest's cost, or those that are counted apart."""
        return sorted(row for row in self.asked if (row.kind in HEARTBEATS | REVIEWS) is apart)

    @property
    def of_guests(self) -> int:
        """All writes that are a guest's cost."""
        return sum(self.asked[row] for row in self.rows(apart=False))

    @property
    def of_counters(self) -> int:
        """Those of them that tell how many guests there are: they come by the clock, not by the guest."""
        return sum(self.asked[row] for row in self.rows(apart=False) if row.kind in COUNTERS)


def count(events: Iterable[Mapping[str, Any]]) -> Count:
    """Count the writes in audit events."""
    asked: Counter[Row] = Counter()
    refused: Counter[Row] = Counter()
    for event in events:
        who = innkeeper(event.get("user", {}).get("username", ""))
        if who is None:
            continue
        about = event.get("objectRef", {})
        kind = "/".join(part for part in (about.get("resource"), about.get("subresource")) if part)
        row = Row(who, event["verb"], kind)
        asked[row] += 1
        if event.get("responseStatus", {}).get("code", 0) >= _REFUSED:
            refused[row] += 1
    return Count(asked, refused)


def innkeeper(user: str) -> str | None:
    """Return which of Innkeeper's processes a user is, or None for a stranger."""
    if user.startswith(_SYSTEM):
        return user.removeprefix(_SYSTEM).removeprefix("innkeeper-")
    namespace, _, name = user.removeprefix(_ACCOUNTS).partition(":")
    if user.startswith(_ACCOUNTS) and namespace.startswith("host-") and name == identities.AGENT:
        return "agents"
    return None


def read(log: Path, *, since: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the events of an audit log from a byte on; a last line that is not whole yet is left out."""
    with log.open("rb") as file:
        file.seek(since)
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
