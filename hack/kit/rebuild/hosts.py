"""A process with the host APIs of many hosts: their stores are in memory, their answers over mutual TLS as an agent's.

It writes the hosts file when all of them listen, and goes on until it is ended.

Usage: python -m kit.rebuild.hosts DIRECTORY HOSTS GUESTS
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.figures import AgentFigures
from innkeeper.agent.host_api.certificates import TlsFiles
from innkeeper.agent.host_api.listener import HostApiListener, ListenAt
from innkeeper.agent.host_api.server import HostApi
from innkeeper.agent.usage import UsageMeter
from innkeeper.clock import SystemClock
from innkeeper.domain.host_store import PAGE, Events, GuestEntry, Snapshot
from kit import host_api
from kit.rebuild import held

HOSTS_FILE = "hosts.json"


class _Store:
    """One host's store."""

    def __init__(self, host: str, entries: list[GuestEntry]) -> None:
        self.host = host
        self._entries = entries

    async def snapshot(self, *, after: str | None = None, limit: int = PAGE) -> Snapshot:
        """Return one page."""
        found = [each for each in self._entries if each.guest_id > (after or "")]
        page = found[:limit]
        return Snapshot(
            host=self.host,
            store_id=f"store-{self.host}",
            seq=1,
            settings=held.SETTINGS,
            guests=page,
            next_after=page[-1].guest_id if len(page) < len(found) else None,
        )

    async def events(self, *, store_id: str, since: int, limit: int = PAGE) -> Events:  # noqa: ARG002 - as declared
        """Return that nothing changed."""
        return Events(host=self.host, store_id=store_id, since=since, seq=since)


async def serve(directory: Path, *, hosts: int, guests: int) -> None:
    """Listen for all hosts until ended."""
    vouching = host_api.authority(directory)
    stores = held.entries(hosts=hosts, guests=guests)
    pair = vouching.issue_server(
        "all-hosts", alternative_names=list(stores)
    )  # one certificate names them all
    files = TlsFiles(certificate=pair.certificate, key=pair.key, authority=vouching.own.certificate)
    listening = asyncio.Event()
    listeners: dict[str, HostApiListener] = {}

    def look() -> None:
        if all(each.address for each in listeners.values()):
            listening.set()

    for name, entries in stores.items():
        listeners[name] = _listener(_Store(name, entries), files, look)
    async with asyncio.TaskGroup() as tasks:
        for each in listeners.values():
            tasks.create_task(each.run())
        await listening.wait()
        listed = [{"name": name, "address": each.address} for name, each in listeners.items()]
        partial = directory / f"{HOSTS_FILE}.partial"
        partial.write_text(json.dumps({"hosts": listed}))
        partial.replace(directory / HOSTS_FILE)


def _listener(store: _Store, files: TlsFiles, on_change: Callable[[], None]) -> HostApiListener:
    figures = AgentFigures(CollectorRegistry())
    meter = UsageMeter(store.host, SimulatedDriver(SystemClock()), SystemClock())  # of no machines
    return HostApiListener(
        HostApi(store, figures, console_log=lambda _: None, usage=meter.read).application,
        ListenAt(listen="127.0.0.1", port=0, files=files),
        figures=figures,
        clock=SystemClock(),
        on_change=on_change,
    )


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), hosts=int(sys.argv[2]), guests=int(sys.argv[3])))
