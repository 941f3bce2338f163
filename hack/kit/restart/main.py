"""Runs the bench; started by hack/bench/restart with Innkeeper's own Python."""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit import command_line, steps
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
        with (_fake if options.fake else _real)(options) as (kubeconfig, file):
            for number in range(options.repeats):
                for way in (SNAPSHOT, LIST) if number % 2 == 0 else (LIST, SNAPSHOT):
                    chosen = ["--snapshot", str(file)] if way == SNAPSHOT else []
                    results[way].append(_start(kubeconfig, *chosen))
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


@contextmanager
def _real(options: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """Fill a real API server by way of the operator; yield how to get in, and the snapshot that it left."""
    with standing(options.name) as stage:
        file = stage.plan.directory / "snapshot"
        _fill(stage, file, hosts=options.hosts, guests=options.guests)
        yield stage.operator_kubeconfig, file


@contextmanager
def _fake(options: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """Fill the API server of the tests; yield how to get in, and a snapshot of it."""
    with tempfile.TemporaryDirectory() as directory:
        kubeconfig, file = Path(directory) / "kubeconfig", Path(directory) / "snapshot"
        command = [sys.executable, "-m", "kit.restart.fake", str(kubeconfig)]
        command += ["--hosts", str(options.hosts), "--guests", str(options.guests)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                with steps.step(f"filling the API server of the tests with {options.guests} guests"):
                    if server.stdout is None or not server.stdout.readline():
                        raise steps.StepError("it ended")
                    _start(kubeconfig, "--write-snapshot", str(file))
                yield kubeconfig, file
            finally:
                server.terminate()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--guests", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--fake", action="store_true")
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


def _start(kubeconfig: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "kit.restart.start", str(kubeconfig), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise steps.StepError(f"a start failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    steps.say(f"    {found}")
    return found


if __name__ == "__main__":
    command_line.run(main)
