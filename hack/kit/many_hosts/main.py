"""Runs the bench: more and more hosts until guests come too late; started by hack/bench/hosts with Innkeeper's Python."""

import argparse
import asyncio
import itertools
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kit import command_line, steps
from kit.bind import filling
from kit.bind.filling import Api
from kit.bind.main import count_of, ready_hosts
from kit.bind.stage import Stage, standing, wait_for
from kit.control_plane import programs
from kit.daemons import Daemon
from kit.first_guest import stage as first_guest
from kit.first_guest.figures import percentile
from kit.many_hosts import identities
from kit.many_hosts.agents import ALL_READY
from kit.many_hosts.usage import MIB, Usage, resident_mib

LATEST_MS = 1000.0
SILENCE_S = "150"  # five Leases of the agents here
SETTLE_S = 1800
FILES_OF_AN_AGENT = 13  # 10 while it does nothing: connections, its database, its locks
OPERATOR, AGENTS, API_SERVER = "operator", "agents", "API server"


@dataclass(frozen=True)
class Row:
    """What was measured with so many agents."""

    agents: int
    p50_ms: float
    p99_ms: float
    late_ms: float
    cores: dict[str, float]
    rss_mib: dict[str, float]


def main() -> int:
    """Measure, print a table and a line of JSON."""
    options = _options()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows: list[Row] = []
    failed = False
    try:
        with standing(options.name) as stage:
            _grow(stage, options, rows)
    except (steps.StepError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        failed = True
        steps.say(f"not measured further: {error}")
    if not rows:
        return 1
    _print(rows, options)
    carried = [row for row in rows if row.p99_ms < LATEST_MS]
    best = carried[-1] if carried else rows[0]
    figures = {
        "agents": best.agents if carried else 0,
        "p99_ms": best.p99_ms,
        "api_cpu_cores": best.cores[API_SERVER],
        "api_rss_mib": best.rss_mib[API_SERVER],
        "rows": [asdict(row) for row in rows],
    }
    steps.say(json.dumps(figures))
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, nargs="+", required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--each", type=int, default=_each())
    return parser.parse_args()


def _each() -> int:
    """Return how many agents a process carries: as many as may have their files open, and some to spare."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, most // FILES_OF_AN_AGENT)


def _grow(stage: Stage, options: argparse.Namespace, rows: list[Row]) -> None:
    operator = stage.start_operator(host_silence_s=SILENCE_S, host_workers="32")
    api_server = Daemon(programs.API_SERVER, stage.plane.directory)
    processes: list[Daemon] = []
    there = 0
    try:
        for count in options.agents:
            with steps.step(f"joining {count - there} agents to {there}"):
                processes += _join(stage, operator, first=there, count=count, each=options.each)
            there = count
            for process in processes:  # those of earlier rows, too: they hold more since
                os.kill(_pid(process), ALL_READY)
            who = {API_SERVER: [api_server], OPERATOR: [operator], AGENTS: processes}
            with steps.step(f"building {options.rate:g} guests a second for {options.seconds} s"):
                rows.append(_measure(stage, who, agents=count, options=options))
            if rows[-1].p99_ms >= LATEST_MS:
                return
    finally:
        for process in processes:
            process.stop(grace=0)


def _join(stage: Stage, operator: Daemon, *, first: int, count: int, each: int) -> list[Daemon]:
    """Have the operator make identities, and start the agents that use them: in as many processes as it takes."""
    asyncio.run(_create(stage, first=first, count=count))
    wait_for(
        lambda: count_of(stage, "hostagents") == count,
        what="the hosts' identities",
        within_s=SETTLE_S,
        by=operator,
    )
    started: list[Daemon] = []
    try:
        for begin, end in portions(first, count, each=each):
            started.append(_start(stage, first=begin, count=end))
            _until_ready(stage, end, by=started[-1])
    except BaseException:
        for process in started:
            process.stop(grace=0)
        raise
    return started


def _until_ready(stage: Stage, count: int, *, by: Daemon) -> None:
    wait_for(lambda: ready_hosts(stage) == count, what=f"{count} hosts to be ready", within_s=SETTLE_S, by=by)


def portions(first: int, count: int, *, each: int) -> list[tuple[int, int]]:
    """Split the hosts from `first` up to `count` into parts of nearly the same size, of `each` at most."""
    parts = -(-(count - first) // each)
    ends = [first + (count - first) * number // parts for number in range(parts + 1)]
    return list(itertools.pairwise(ends))


def _start(stage: Stage, *, first: int, count: int) -> Daemon:
    file = stage.plan.directory / f"identities-{count}.jsonl"
    asyncio.run(_identify(stage, file, first=first, count=count))
    agents = Daemon(f"{AGENTS}-{count}", stage.plan.directory)
    state = stage.plan.directory / "hosts"
    words: list[str | Path] = [sys.executable, "-m", "kit.many_hosts.agents", stage.admin, file, state]
    agents.start(words, env=first_guest.environment())
    return agents


async def _create(stage: Stage, *, first: int, count: int) -> None:
    async with Api(stage.admin) as api:
        await filling.create_hosts(api, count, first=first)


async def _identify(stage: Stage, file: Path, *, first: int, count: int) -> None:
    async with Api(stage.admin) as api:
        await identities.write(api, file, first=first, count=count)


def _measure(
    stage: Stage, processes: dict[str, list[Daemon]], *, agents: int, options: argparse.Namespace
) -> Row:
    """Build guests for a while; tell how long they took and what the processes used meanwhile."""
    pids = {name: [_pid(each) for each in daemons] for name, daemons in processes.items()}
    before = {name: [Usage.of(pid) for pid in found] for name, found in pids.items()}
    load = _load(stage, prefix=f"guest-{agents}", options=options)
    cores = {
        name: round(
            sum(Usage.of(pid).cores_since(old) for pid, old in zip(found, before[name], strict=True)), 2
        )
        for name, found in pids.items()
    }
    times = sorted(load["ready_ms"])
    return Row(
        agents=agents,
        p50_ms=percentile(times, 50),
        p99_ms=percentile(times, 99),
        late_ms=load["late_ms"],
        cores=cores,
        rss_mib={name: round(sum(map(resident_mib, found)), 1) for name, found in pids.items()},
    )


def _load(stage: Stage, *, prefix: str, options: argparse.Namespace) -> dict[str, Any]:
    guests = round(options.seconds * options.rate)
    command = first_guest.module("load", str(stage.admin), str(guests), str(options.rate), prefix)
    within_s = 300 + options.seconds
    done = subprocess.run(
        command,
        env=first_guest.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=within_s,
    )
    if done.returncode:
        raise steps.StepError(f"the guests did not all come to run:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _pid(daemon: Daemon) -> int:
    pid = daemon.pid()
    if pid is None:
        raise steps.StepError(f"{daemon.name} ended; its log says:\n{daemon.log_tail()}")
    return pid


def _print(rows: list[Row], options: argparse.Namespace) -> None:
    steps.say(f"\n{options.rate:g} guests a second; Leases every 30 s; cores and MiB while guests were built")
    columns = "".join(f"{name + ' cores, MiB':>24}" for name in (API_SERVER, OPERATOR, AGENTS))
    steps.say(f"{'agents':>7} {'apply to Ready P50 P99, ms':>28}{columns} {'KiB a host':>11}")
    for row in rows:
        used = "".join(
            f"{row.cores[name]:>15.2f} {row.rss_mib[name]:>8.0f}" for name in (API_SERVER, OPERATOR, AGENTS)
        )
        each = row.rss_mib[AGENTS] * MIB / row.agents
        steps.say(f"{row.agents:>7} {row.p50_ms:>20.0f} {row.p99_ms:>7.0f}{used} {each:>11.0f}")


if __name__ == "__main__":
    command_line.run(main)
