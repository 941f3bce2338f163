"""A process with the agents of many simulated hosts, each with its own identity, database, watches and Lease.

They are the agents that `innkeeper agent` runs; machines, images and networks are made up.

Usage: python -m kit.many_hosts.agents KUBECONFIG IDENTITIES STATE-DIRECTORY
"""

import asyncio
import json
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
    async with asyncio.TaskGroup() as tasks:
        for line in lines:
            own = replace(server, token=line["token"], client_certificate=None, client_key=None)
            tasks.create_task(_run(line["host"], own, keys, state / line["host"]))
            await asyncio.sleep(1 / STARTED_EACH_S)


async def _run(name: str, credentials: Credentials, keys: dict[str, bytes], directory: Path) -> None:
    async with Client(credentials) as client:
        host = SimulatedHost(
            name=name, directory=directory, client=client, pinned_keys=keys, heartbeat_s=HEARTBEAT_S
        )
        await host.run()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
