"""A process with the agents of all simulated hosts, each under its own identity, fetching real images.

Only the machines are made up: database, image download, overlay and seed are the ones of a real host.

Usage: python -m kit.first_guest.hosts LAB-DIRECTORY
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from innkeeper.agent.imaging.overlay import DiskTool
from innkeeper.agent.imaging.store import HostImageStore
from innkeeper.agent.process import identity_of
from innkeeper.agent.settings import AgentSettings
from innkeeper.agent.unprivileged import tools_user
from innkeeper.clock import SystemClock
from innkeeper.kube.client import Client
from innkeeper.telemetry import logs
from innkeeper.telemetry.logs import LogFormat, LogLevel
from kit.simulated_hosts import SimulatedHost, run_all


async def main(join_files: Sequence[Path]) -> None:
    """Run the hosts of these join files until this process is ended."""
    logs.configure(form=LogFormat.JSON, level=LogLevel.INFO, process="simulated-hosts")
    clock = SystemClock()
    hosts = []
    for join_file in join_files:
        state = join_file.parent / "state"
        state.mkdir(parents=True, exist_ok=True)
        settings = AgentSettings.model_validate({"join_file": join_file})
        name, keys, credentials = identity_of(settings)
        disks = DiskTool(tools_user(settings.tools_user))
        images = HostImageStore(
            state / "images", token=credentials.bearer, ca_file=None, clock=clock, disks=disks
        )
        hosts.append(
            SimulatedHost(
                name=name,
                directory=state,
                client=Client(credentials),
                pinned_keys=keys,
                clock=clock,
                images=images,
            )
        )
    try:
        await run_all(hosts)
    finally:
        for host in hosts:
            await host.client.close()


if __name__ == "__main__":
    uvloop.run(main(sorted(Path(sys.argv[1]).glob("hosts/*/join.json"))))
