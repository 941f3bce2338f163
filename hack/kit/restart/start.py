"""One start of the operator's memory, in a process of its own: until the first correct decision, and what it read.

It is what every replica does before it works: from a snapshot or from lists, then all watches caught up, then one guest
placed. Prints one line of JSON.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from innkeeper.clock import SystemClock
from innkeeper.domain.quantity import Amounts
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.processes import garbage
from innkeeper.processes.snapshots import Snapshots
from innkeeper.processes.watches import Watches
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import SnapshotMetrics
from innkeeper.views.guest import Guest, GuestSpec, ImageRef, Interface
from innkeeper.views.meta import Meta
from innkeeper.workers.scheduler import Placed, SchedulerWorker
from kit.restart.counting import counting


async def started(kubeconfig: Path, snapshot: Path | None, *, write: Path | None) -> dict[str, object]:
    """Start, decide once, and return what it took; leave a snapshot where one is wanted."""
    garbage.collect_rarely()
    credentials = Credentials.from_kubeconfig(kubeconfig)
    async with counting(credentials.server) as counter:
        credentials.tls_server_name = credentials.tls_server_name or "127.0.0.1"
        credentials.server = f"{urlsplit(credentials.server).scheme}://127.0.0.1:{counter.port}"
        async with Client(credentials, request_timeout_s=120) as client:
            began = time.monotonic()
            subset, clock = Subset(), SystemClock()
            watches = Watches(client, clock=clock, subset=subset)
            from_file = _snapshots(snapshot, client, clock, watches) if snapshot is not None else None
            if from_file is not None:
                await from_file.begin()
            tasks = [asyncio.create_task(each.informer.run()) for each in watches.all]
            if from_file is not None:
                await from_file.fill()
            await watches.synced()
            decision = SchedulerWorker(subset, clock).place(_guest(), amounts=Amounts(100, 2**26, 2**26))
            took = time.monotonic() - began
            if write is not None:
                snapshots = _snapshots(write, client, clock, watches)
                await snapshots.load()
                await snapshots.write()
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            ways = sum(
                (each.informer.starts for each in watches.all), start=watches.all[0].informer.starts.copy()
            )
    if not isinstance(decision, Placed):
        raise SystemExit(f"no host fits: {decision}")
    return {
        "seconds": round(took, 3),
        "bytes": counter.read_bytes,
        "guests": len(subset.guests),
        "hosts": len(subset.hosts),
        "promised": sum(subset.promises.count(host) for host in subset.hosts),
        "ways": {str(way): count for way, count in ways.items()},
    }


def _snapshots(path: Path, client: Client, clock: SystemClock, watches: Watches) -> Snapshots:
    return Snapshots(
        path,
        client=client,
        clock=clock,
        watches=watches,
        namespace="innkeeper-system",
        every_s=86400,
        metrics=SnapshotMetrics(CollectorRegistry()),
    )


def _guest() -> Guest:
    spec = GuestSpec(image=ImageRef(name="bench"), flavor="bench", interfaces=[Interface(pool="bench")])
    return Guest(metadata=Meta(name="first", namespace="default", uid="first"), spec=spec)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("--snapshot", type=Path)
    parser.add_argument("--write-snapshot", type=Path)
    options = parser.parse_args()
    print(
        json.dumps(asyncio.run(started(options.kubeconfig, options.snapshot, write=options.write_snapshot)))
    )
