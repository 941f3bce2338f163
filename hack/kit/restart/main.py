"""Runs the bench; started by hack/bench/restart with Innkeeper's own Python."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from kit import paths, steps
from kit.bind import filling
from kit.bind.filling import Api
from kit.bind.main import count_of, settle_hosts
from kit.bind.stage import Stage, standing, wait_for

SNAPSHOT, LIST = "snapshot", "list"


def main() -> int:
    """Measure, print a table and a line of JSON."""
    options = _options()
    results: dict[str, list[dict[str, Any]]] = {SNAPSHOT: [], LIST: []}
    try:
        with standing(options.name) as stage:
            file = stage.plan.directory / "snapshot"
            _fill(stage, file, hosts=options.hosts, guests=options.guests)
            for number in range(options.repeats):
                for way in (SNAPSHOT, LIST) if number % 2 == 0 else (LIST, SNAPSHOT):
                    results[way].append(_start(stage, file if way == SNAPSHOT else None))
    except (steps.StepError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        steps.say(f"not measured: {error}")
        return 1
    steps.say(f"\n{options.guests} guests on {options.hosts} hosts, medians of {options.repeats}")
    steps.say(f"{'':10} {'seconds':>9} {'least-most':>16} {'MiB read':>9}")
    figures: dict[str, float] = {}
    for way, runs in results.items():
        times, read = [each["seconds"] for each in runs], statistics.median(each["bytes"] for each in runs)
        spread = f"{min(times):.2f}-{max(times):.2f}"
        steps.say(f"{way:10} {statistics.median(times):9.2f} {spread:>16} {read / 2**20:9.1f}")
        figures |= {f"{way}_s": statistics.median(times), f"{way}_bytes": read}
    steps.say(json.dumps({**figures, "guests": options.guests, "hosts": options.hosts}))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--guests", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--name", required=True)
    return parser.parse_args()


def _fill(stage: Stage, file: Path, *, hosts: int, guests: int) -> None:
    with steps.step(f"creating {hosts} hosts, with their namespaces and identities"):
        settle_hosts(stage, hosts)
    with steps.step(f"creating {guests} guests"):
        asyncio.run(_guests(stage, guests))
    with steps.step(f"binding {guests} guests, and writing the snapshot"):
        operator = stage.start_operator(snapshot_file=str(file))
        wait_for(
            lambda: count_of(stage, "assignments") == guests,
            what="all guests to be bound",
            within_s=1800,
            by=operator,
        )  # fmt: skip - one call
        operator.stop(grace=60)
    if not file.exists():
        raise steps.StepError(f"the operator left no snapshot; its log says:\n{operator.log_tail()}")


async def _guests(stage: Stage, guests: int) -> None:
    async with Api(stage.admin) as api:
        await filling.create_guests(api, guests)


def _start(stage: Stage, snapshot: Path | None) -> dict[str, Any]:
    command: list[str | Path] = [sys.executable, "-m", "kit.restart.start", stage.operator_kubeconfig]
    command += ["--snapshot", snapshot] if snapshot else []
    path = os.pathsep.join((str(paths.HACK), str(paths.CHECKOUT / "operator")))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip - one call
    if done.returncode:
        raise steps.StepError(f"a start failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    steps.say(f"    {found}")
    return found


if __name__ == "__main__":
    sys.exit(main())
