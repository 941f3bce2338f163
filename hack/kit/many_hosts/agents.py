"""A process with the agents of many simulated hosts, each with its own identity, database, watches and Lease.

They are the agents that `innkeeper agent` runs; machines, images and networks are made up.

On hosts of their own each would have a memory of its own, which Python searches for garbage in some ten milliseconds.
The memory of all of them together takes seconds to search, and meanwhile none of them would answer. So nothing is
searched while they join, and once the bench says (with `ALL_READY`) that all are ready, what they hold by then is left
out of every search; all that comes later is searched as it always is.

Usage: python -m kit.many_hosts.agents KUBECONFIG IDENTITIES STATE-DIRECTORY
"""

import asyncio
import gc
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import uvloop

from innkeeper.agent.trust import decode_keys
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.telemetry import logs
from innkeeper.telemetry.logs import LogFormat, LogLevel
from kit.simulated_hosts import SimulatedHost

HEARTBEAT_S = 30.0
STARTED_EACH_S = 100  # so that their lists do not all come at once
ALL_READY = signal.SIGUSR1


def main(kubeconfig: Path, identities: Path, state: Path) -> None:
    """Run all agents until this process is ended."""
    logs.configure(form=LogFormat.JSON, level=LogLevel.WARNING, process="many-hosts")
    head, *lines = [json.loads(line) for line in identities.read_text().splitlines()]
    for line in lines:
        (state / line["host"]).mkdir(parents=True)
    uvloop.run(_run_all(lines, decode_keys(head["keys"]), Credentials.from_kubeconfig(kubeconfig), state))


async def _run_all(
    lines: list[dict[str, str]], keys: dict[str, bytes], server: Credentials, state: Path
) -> None:
    search_memory_from(ALL_READY)
    async with asyncio.TaskGroup() as tasks:
        for line in lines:
            own = replace(server, token=line["token"], client_certificate=None, client_key=None)
            tasks.create_task(_run(line["host"], own, keys, state / line["host"]))
            await asyncio.sleep(1 / STARTED_EACH_S)


def search_memory_from(number: signal.Signals) -> None:
    """Search nothing for garbage until the signal, and then only what came after it."""

    def begin() -> None:
        gc.freeze()
        gc.enable()

    asyncio.get_running_loop().add_signal_handler(number, begin)
    gc.disable()


async def _run(name: str, credentials: Credentials, keys: dict[str, bytes], directory: Path) -> None:
    async with Client(credentials) as client:
        host = SimulatedHost(
            name=name, directory=directory, client=client, pinned_keys=keys, heartbeat_s=HEARTBEAT_S
        )
        await host.run()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
