"""Times one scheduler, from the first thing that it binds to the last, with the processor time of everybody.

What comes before the first one (a process that starts and lists) is measured apart. Processor times come from
/proc/PID/stat.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import steps
from kit.bind.filling import GROUP, NAMESPACE, Api
from kit.daemons import Daemon

METADATA = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
METADATA_LIST = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_S = 60.0


@dataclass(frozen=True)
class Race:
    """What is watched: a path, and which type of event is a bind."""

    path: str
    event: str


GUESTS = Race(f"{GROUP}/assignments", "ADDED")
PODS = Race(f"/api/v1/namespaces/{NAMESPACE}/pods", "MODIFIED")


@dataclass(frozen=True)
class Result:
    """What one scheduler did; processor times in milliseconds for each bind, by process."""

    binds: int
    started_s: float  # from the start of the process to its first bind
    took_s: float  # from the first bind to the last
    cpu_ms: dict[str, float]

    @property
    def per_s(self) -> float:
        """Binds a second from the first to the last."""
        return (self.binds - 1) / self.took_s

    @property
    def per_s_from_start(self) -> float:
        """Binds a second from the start of the process."""
        return self.binds / (self.started_s + self.took_s)


async def timed(
    api: Api, race: Race, *, count: int, start: Callable[[], Daemon], beside: dict[str, Daemon]
) -> Result:
    """Start a scheduler and wait until it bound all.

    Raises:
        StepError: it binds nothing for a while.
    """
    listing = await api.call("GET", f"{race.path}?limit=1", headers=METADATA_LIST)
    began = time.monotonic()
    daemon = start()
    everybody = {**beside, "scheduler": daemon}
    seen: set[str] = set()
    first, before = 0.0, {}
    async for event in _events(api, race.path, listing["metadata"]["resourceVersion"]):
        if event["type"] != race.event:
            continue
        if not seen:
            first, before = time.monotonic(), cpu_of(everybody)
        seen.add(event["object"]["metadata"]["name"])
        if len(seen) == count:
            break
    last, after = time.monotonic(), cpu_of(everybody)
    if len(seen) < count:
        raise steps.StepError(f"only {len(seen)} of {count} were bound; see {daemon.log_file}")
    cpu = {name: (after[name] - before[name]) * 1000 / (count - 1) for name in everybody}
    daemon.stop(grace=5)
    return Result(count, first - began, last - first, cpu)


async def _events(api: Api, path: str, version: str) -> AsyncIterator[dict[str, Any]]:
    """Yield events until none comes for a while; an API server under load ends watches that it finds slow."""
    while True:
        query = f"?watch=1&resourceVersion={version}&timeoutSeconds=1800"
        async with api.open("GET", path + query, headers=METADATA) as stream:
            while True:
                try:
                    line = await asyncio.wait_for(stream.content.readline(), _QUIET_S)
                except TimeoutError:
                    return
                if not line:
                    break
                event = json.loads(line)
                version = event["object"]["metadata"]["resourceVersion"]
                yield event


def cpu_of(processes: dict[str, Daemon]) -> dict[str, float]:
    """Return the processor seconds that each process has used."""
    return {name: _seconds(daemon.pid()) for name, daemon in processes.items()}


def _seconds(pid: int | None) -> float:
    if pid is None:
        raise steps.StepError("a process that is measured is not there any more")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
