"""Runs the whole bench for each number of hosts; started by hack/bench/bind with Innkeeper's own Python."""

import argparse
import asyncio
import json
import subprocess

from kit import command_line, steps
from kit.bind import contest, filling, floor
from kit.bind.contest import GUESTS, PODS
from kit.bind.figures import FLOOR, OURS, OURS_WITH_ADDRESSES, PEER, Runs
from kit.bind.filling import GROUP, Api
from kit.bind.stage import Stage, standing, wait_for
from kit.control_plane import programs
from kit.daemons import Daemon

CLAIMED, UNCLAIMED = "claimed", "unclaimed"


def main() -> int:
    """Measure, print tables and a line of JSON."""
    options = _options()
    programs.scheduler()
    result: dict[str, object] = {}
    failed = False
    for hosts in options.hosts:
        try:
            with standing(f"{options.name}-{hosts}") as stage:
                _fill(stage, hosts=hosts, guests=options.guests)
                runs = _repeat(stage, hosts=hosts, options=options)
            runs.show()
            result[str(hosts)] = runs.document()
        except (steps.StepError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            steps.say(f"not measured with {hosts} hosts: {error}")
            failed = True
    steps.say(json.dumps({"guests": options.guests, "repeats": options.repeats, "hosts": result}))
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, nargs="+", required=True)
    parser.add_argument("--guests", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--name", required=True)
    return parser.parse_args()


def settle_hosts(stage: Stage, hosts: int) -> None:
    """Create hosts, have the operator make their identities, report for them, and wait until all take guests."""
    asyncio.run(_hosts(stage, hosts))
    operator = stage.start_operator(host_workers="32")
    wait_for(
        lambda: count_of(stage, "hostagents") == hosts,
        what="the hosts' identities",
        within_s=900,
        by=operator,
    )
    operator.stop(grace=5)
    asyncio.run(_report(stage, hosts))
    operator = stage.start_operator(host_status_delay_s="1")
    wait_for(lambda: ready_hosts(stage) == hosts, what="all hosts to be ready", within_s=900, by=operator)
    operator.stop(grace=5)


def _fill(stage: Stage, *, hosts: int, guests: int) -> None:
    """Put everything into the API server, settled as after a long quiet time, and keep it."""
    with steps.step(f"creating {hosts} hosts, with their namespaces and identities, and as many nodes"):
        settle_hosts(stage, hosts)
        asyncio.run(_nodes(stage, hosts))
    with steps.step(f"creating {guests} guests and as many pods"):
        ids = asyncio.run(_workloads(stage, guests))
        stage.keep(UNCLAIMED)
        asyncio.run(_claims(stage, ids))
        stage.keep(CLAIMED)


async def _hosts(stage: Stage, hosts: int) -> None:
    async with Api(stage.admin) as api:
        await filling.create_hosts(api, hosts)


async def _nodes(stage: Stage, hosts: int) -> None:
    async with Api(stage.admin) as api:
        await filling.create_nodes(api, hosts)


async def _report(stage: Stage, hosts: int) -> None:
    async with Api(stage.admin) as api:
        await filling.report_hosts(api, hosts)


async def _workloads(stage: Stage, guests: int) -> list[str]:
    async with Api(stage.admin) as api:
        await api.call(
            "POST",
            f"/api/v1/namespaces/{filling.NAMESPACE}/serviceaccounts",
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}},
        )
        await filling.create_pods(api, guests)
        return await filling.create_guests(api, guests)


async def _claims(stage: Stage, ids: list[str]) -> None:
    async with Api(stage.operator_kubeconfig) as api:
        await filling.claim_addresses(api, ids)


def count_of(stage: Stage, plural: str) -> int:
    """Return how many objects of a kind of ours there are."""

    async def ask() -> int:
        async with Api(stage.admin) as api:
            listing = await api.call("GET", f"{GROUP}/{plural}?limit=1", headers=contest.METADATA_LIST)
            left: int = listing["metadata"].get("remainingItemCount", 0)
            return len(listing["items"] or ()) + left

    return asyncio.run(ask())


def ready_hosts(stage: Stage) -> int:
    """Return how many hosts take guests."""

    async def ask() -> int:
        async with Api(stage.admin) as api:
            listing = await api.call("GET", f"{GROUP}/hosts?resourceVersion=0")
            return sum(bool(each["status"].get("schedulable")) for each in listing["items"])

    return asyncio.run(ask())


def _repeat(stage: Stage, *, hosts: int, options: argparse.Namespace) -> Runs:
    runs = Runs(hosts)
    for number in range(options.repeats):
        order = (OURS, PEER) if number % 2 == 0 else (PEER, OURS)
        stage.restore(CLAIMED)
        for who in order:
            runs.add(who, _race(stage, who, count=options.guests))
        runs.add(FLOOR, _bare_writes(stage, count=options.guests))
        stage.restore(UNCLAIMED)
        runs.add(OURS_WITH_ADDRESSES, _race(stage, OURS, count=options.guests))
    return runs


def _bare_writes(stage: Stage, *, count: int) -> contest.Result:
    async def run() -> contest.Result:
        async with Api(stage.admin) as api:
            return await floor.timed(api, count=count, beside=_beside(stage))

    return asyncio.run(run())


def _race(stage: Stage, who: str, *, count: int) -> contest.Result:
    async def run() -> contest.Result:
        async with Api(stage.admin) as api:
            race, start = (PODS, stage.start_scheduler) if who == PEER else (GUESTS, stage.start_operator)
            return await contest.timed(api, race, count=count, start=start, beside=_beside(stage))

    return asyncio.run(run())


def _beside(stage: Stage) -> dict[str, Daemon]:
    return {daemon.name: daemon for daemon in stage.plane.daemons() if daemon.alive()}


if __name__ == "__main__":
    command_line.run(main)
