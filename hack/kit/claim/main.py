"""Runs the whole bench; started by hack/bench/claim with Innkeeper's own Python."""

import argparse
import asyncio
import ipaddress
import json
import subprocess
import sys
import tracemalloc
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from innkeeper.domain.addressing.pool import understand
from innkeeper.domain.addressing.search import free_addresses, has_free
from innkeeper.domain.addressing.taken import Taken
from innkeeper.domain.names import ADDRESS_FINALIZER, POOL_LABEL, address_name
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import CLUSTERS, IP_ADDRESSES, IP_POOLS
from innkeeper.views.network import IPPoolSpec
from kit import command_line, steps
from kit.bind.stage import Stage, standing

POOL = "claims"
AT_ONCE = 32
MOST_CLAIMS = 40  # in one burst of one process


@dataclass(frozen=True)
class Round:
    """What some processes did side by side."""

    claims: int = 0
    seconds: float = 0.0
    conflicts: int = 0
    misses: int = 0  # claims for which a view knew no free address
    duplicates: int = 0  # addresses that two claims held at once
    cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Claims a second, of all processes together."""
        return self.claims / self.seconds

    @property
    def cpu_ms(self) -> float:
        """The claimants' own processor time for a claim."""
        return 1000 * self.cpu_s / max(1, self.claims)

    def with_claims(self, told: list[dict[str, Any]], *, wanted: int) -> "Round":
        """Add what the processes told of one burst, of which they hold every claim at its end."""
        held = [address for each in told for address in each["held"]]
        seconds = max(each["end"] for each in told) - min(each["begin"] for each in told)
        return Round(
            claims=self.claims + len(held),
            seconds=self.seconds + seconds,
            conflicts=self.conflicts + sum(each["conflicts"] for each in told),
            misses=self.misses + wanted - len(held),
            duplicates=self.duplicates + len(held) - len(set(held)),
            cpu_s=self.cpu_s + sum(each["cpu_s"] for each in told),
        )


def main() -> int:
    """Measure, print a table and a line of JSON."""
    options = _options()
    cases: dict[str, Any] = {}
    with standing(options.name) as stage:
        network = ipaddress.ip_network(options.cidr)
        asyncio.run(_make_pool(stage, options.cidr))
        filled = 0
        steps.say("{:>9} {:>9} {:>9} {:>9} {:>10} {:>9} {:>10} {:>7}".format(*_HEAD))
        for percent in options.full:
            goal = round((network.num_addresses - 2) * percent / 100)
            with steps.step(f"filling the pool to {percent} %: {goal} addresses"):
                asyncio.run(_fill(stage, options.cidr, first=filled, last=goal))
            filled = goal
            for processes in options.processes:
                state = {"filled": filled, "free": network.num_addresses - 2 - filled}
                ours = _round(stage, processes, seconds=options.seconds, pool=POOL, **state)
                peer = _round(stage, processes, seconds=options.seconds, pool=None, **state)
                cases[f"{processes}@{percent:g}"] = _show(f"{processes}@{percent:g}", ours, peer)
    memory = {cidr: _memory_kib(cidr) for cidr in ("10.0.0.0/8", "2001:db8::/64")}
    for cidr, kib in memory.items():
        steps.say(f"{cidr}: {kib:.0f} KiB to read the pool and find an address")
    steps.say(json.dumps({"pool": options.cidr, "cases": cases, "memory_kib": memory}))
    return 0 if all(each["claims"] for each in cases.values()) else 1


_HEAD = ("case", "claims/s", "services/s", "ratio", "conflicts", "misses", "duplicates", "own ms")


def _show(case: str, ours: Round, peer: Round) -> dict[str, Any]:
    conflicts = ours.conflicts / max(1, ours.claims)
    ratio = ours.per_s / peer.per_s if peer.per_s else 0.0
    steps.say(
        f"{case:>9} {ours.per_s:9.0f} {peer.per_s:9.0f} {ratio:9.2f} {conflicts:10.3f} {ours.misses:9d} "
        f"{ours.duplicates:10d} {ours.cpu_ms:7.2f}"
    )
    return {
        "claims": ours.claims,
        "claims_per_s": round(ours.per_s, 1),
        "peer_claims_per_s": round(peer.per_s, 1),
        "conflicts_per_claim": round(conflicts, 4),
        "duplicates": ours.duplicates,
        "misses": ours.misses,
        "cpu_ms_per_claim": round(ours.cpu_ms, 3),
        "peer_cpu_ms_per_claim": round(peer.cpu_ms, 3),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--cidr", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--processes", type=int, nargs="+", required=True)
    parser.add_argument("--full", type=float, nargs="+", required=True)
    return parser.parse_args()


async def _make_pool(stage: Stage, cidr: str) -> None:
    async with Client(Credentials.load(stage.admin)) as client:
        await client.create(CLUSTERS, {"metadata": {"name": POOL}, "spec": {"network": {"bridge": "none"}}})
        spec = {"cidr": cidr, "clusters": [POOL], "addressSpace": POOL}
        await client.create(IP_POOLS, {"metadata": {"name": POOL}, "spec": spec})


async def _fill(stage: Stage, cidr: str, *, first: int, last: int) -> None:
    network = ipaddress.ip_network(cidr)
    numbers = iter(range(first, last))
    async with Client(Credentials.load(stage.operator_kubeconfig)) as client, asyncio.TaskGroup() as group:

        async def create() -> None:
            for number in numbers:
                address = str(network[number + 1])
                owner = {"id": f"g{number}", "namespace": "default", "name": "filler", "interface": "eth0"}
                await client.create(
                    IP_ADDRESSES,
                    {
                        "metadata": {
                            "name": address_name(POOL, address),
                            "labels": {POOL_LABEL: POOL},
                            "finalizers": [ADDRESS_FINALIZER],
                        },
                        "spec": {"pool": POOL, "addressSpace": POOL, "address": address, "owner": owner},
                    },
                )

        for _ in range(AT_ONCE):
            group.create_task(create())


def _round(
    stage: Stage, processes: int, *, seconds: float, pool: str | None, filled: int, free: int
) -> Round:
    """Have processes claim side by side and give back, again and again; only the claiming is timed."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "kit.claim.claimant",
        "--kubeconfig",
        stage.operator_kubeconfig if pool else stage.admin,
    ]  # fmt: skip - a flag and its value share a line
    command += ["--pool", pool] if pool else []
    # Half of what is free, so that the pool stays about as full as the row says.
    each_claims = max(1, min(MOST_CLAIMS, free // (2 * processes)))
    found = Round()
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(processes)
        ]
        for each in running:
            stack.callback(each.terminate)
        _answers(running)
        while found.seconds < seconds:
            found = found.with_claims(_ask(running, f"claim {each_claims}"), wanted=each_claims * processes)
            _ask(running, f"back {filled}")
    return found


def _ask(running: list[subprocess.Popen[bytes]], line: str) -> list[dict[str, Any]]:
    for each in running:
        stream = _stream(each.stdin)
        stream.write(f"{line}\n".encode())
        stream.flush()
    return _answers(running)


def _answers(running: list[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    lines = [_stream(each.stdout).readline() for each in running]
    if not all(lines):
        raise steps.StepError("a claimant broke; what it said stands above")
    return [json.loads(line) for line in lines]


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise steps.StepError("a claimant has no pipe")
    return stream


def _memory_kib(cidr: str) -> float:
    tracemalloc.start()
    pool, taken = understand(IPPoolSpec(cidr=cidr)), Taken()
    next(free_addresses(pool, taken, guest_id="g", interface="eth0"))
    has_free(pool, taken)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(most / 1024, 1)


if __name__ == "__main__":
    command_line.run(main)
