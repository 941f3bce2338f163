"""The two readers of the stream, each in a process of its own: kopf's raw event handlers, and our informer.

Neither does anything with an event but note its version, so what is measured is the way of an event to the first line of
a handler. The last line of output is JSON: how long it took, how much of the processor, and which deletions were seen.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from kit.kopf_intake import stream

GRACE_S = 2.0  # for a deletion that a reader would still tell of after its second list
DEADLINE_S = 120.0


def main() -> None:
    """Read the command line, read the stream, print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=sorted(READERS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--relist", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    seen = Seen(objects=options.objects, events=options.events, relist=options.relist)
    reading = READERS[options.reader](f"http://127.0.0.1:{options.port}", seen)
    factory = _uvloop_factory() if options.uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(reading, DEADLINE_S))
    print(json.dumps(seen.result()), flush=True)


def _uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


class Seen:
    """What a reader has seen. The clock runs from the first event of the watch to the last."""

    def __init__(self, *, objects: int, events: int, relist: bool) -> None:
        self._events = events
        self._relist = relist
        self._missing = {
            f"guest-{number:05}": stream.final_version(number, objects=objects, events=events)
            for number in range(objects)
        }
        self._names = set(self._missing)
        self._listed: set[str] = set()
        self._handled = 0
        self._begun: tuple[float, float] | None = None
        self._ended = (0.0, 0.0)
        self._deleted: list[str] = []
        self.done = asyncio.Event()

    def listed(self, name: str, version: str) -> None:
        """Note an object of a list; in the relist trial, the second list ends the trial."""
        if self._relist and version != str(stream.FIRST_VERSION):
            self._listed.add(name)
            if len(self._listed) == len(self._names) - 1:
                self.done.set()

    def changed(self, name: str, version: str) -> None:
        """Note an event of the watch."""
        if self._begun is None:
            self._begun = (time.perf_counter(), time.process_time())
        self._handled += 1
        if self._missing.get(name) == version:
            del self._missing[name]
            if not self._missing:
                self._ended = (time.perf_counter(), time.process_time())
                self.done.set()

    def deleted(self, name: str) -> None:
        """Note a deletion."""
        self._deleted.append(name)

    async def wait(self) -> None:
        """Return when all was seen; in the relist trial, when nothing more can come."""
        await self.done.wait()
        if self._relist:
            await asyncio.sleep(GRACE_S)

    def result(self) -> dict[str, Any]:
        """Return the figures."""
        if self._relist or self._begun is None:
            return {"deletions_seen": sorted(self._deleted)}
        seconds = self._ended[0] - self._begun[0]
        cpu = self._ended[1] - self._begun[1]
        return {
            "events_per_s": round(self._events / seconds),
            "cpu_us_per_event": round(cpu / self._events * 1e6, 1),
            "handler_calls": self._handled,
        }


async def read_with_kopf(url: str, seen: Seen) -> None:
    """Run an operator with one raw event handler, set up as well as kopf can be for this."""
    import kopf

    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 600
    stopped = asyncio.Event()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=url, token="bench")  # noqa: S106 - nobody checks it

    @kopf.on.event("innkeeper.dev", "v1alpha1", stream.PLURAL, registry=registry)
    async def event(type: str | None, name: str, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        version = body["metadata"]["resourceVersion"]
        if type is None:
            seen.listed(name, version)
        elif type == "DELETED":
            seen.deleted(name)
        else:
            seen.changed(name, version)

    operator = asyncio.create_task(
        kopf.operator(
            registry=registry, settings=settings, clusterwide=True, standalone=True, stop_flag=stopped
        )
    )
    await seen.wait()
    stopped.set()
    await operator


async def read_with_informer(url: str, seen: Seen) -> None:
    """Run the informer with a callback that does nothing but note."""
    from innkeeper.clock import SystemClock
    from innkeeper.kube.client import Client
    from innkeeper.kube.credentials import Credentials
    from innkeeper.kube.informer import Change, Informer
    from innkeeper.kube.resources import GUESTS
    from innkeeper.views.guest import Guest

    def on_change(change: Change[Guest]) -> None:
        if change.new is None:
            seen.deleted(change.key[1])
        elif not informer.synced.is_set() or not informer.watching:
            seen.listed(change.key[1], change.new.metadata.resource_version)
        else:
            seen.changed(change.key[1], change.new.metadata.resource_version)

    async with Client(Credentials(server=url)) as client:
        informer = Informer(client, GUESTS, on_change=on_change, clock=SystemClock())
        running = asyncio.create_task(informer.run())
        await seen.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


READERS: dict[str, Callable[[str, Seen], Any]] = {"kopf": read_with_kopf, "informer": read_with_informer}

if __name__ == "__main__":
    main()
