"""Runs the bench; started by hack/bench/rebuild with Innkeeper's own Python."""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from innkeeper.domain.names import ID_ANNOTATION
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, IP_ADDRESSES
from kit import command_line, host_api, paths, steps
from kit.bind.stage import Stage, standing, wait_for
from kit.daemons import Daemon
from kit.rebuild import held
from kit.rebuild.hosts import HOSTS_FILE

HOSTS_WITHIN_S = 120.0
REBUILT_WITHIN_S = 1800
PER = 10_000


def main() -> int:
    """Measure, and print a line of JSON."""
    options = _options()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with standing(options.name) as stage:
            figures = _measured(stage, hosts=options.hosts, guests=options.guests)
    except (steps.StepError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        steps.say(f"not measured: {error}")
        return 1
    steps.say(json.dumps(figures))
    return 0 if figures["lost"] == figures["changed"] == 0 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--guests", type=int, required=True)
    parser.add_argument("--name", required=True)
    return parser.parse_args()


def _measured(stage: Stage, *, hosts: int, guests: int) -> dict[str, float]:
    directory = stage.plan.directory
    key = directory / "order.key"
    key.write_bytes(held.KEY)
    serving = Daemon("host-apis", directory)
    words: list[str | Path] = [sys.executable, "-m", "kit.rebuild.hosts", directory, str(hosts), str(guests)]
    serving.start(words)
    try:
        with steps.step(f"having {hosts} hosts listen that hold {guests} guests"):
            wait_for(
                (directory / HOSTS_FILE).exists,
                what="all hosts to listen",
                within_s=HOSTS_WITHIN_S,
                by=serving,
            )
        with steps.step("making everything anew"):
            seconds = _rebuild(stage, key)
        with steps.step("running it once more, on what is there"):
            again = _rebuild(stage, key)
    finally:
        serving.stop(grace=0)
    lost, changed = asyncio.run(_compared(stage, hosts=hosts, guests=guests))
    steps.say(f"\n{guests} guests on {hosts} hosts: {seconds:.1f} s; once more: {again:.1f} s")
    return {
        "seconds_per_10000": round(seconds * PER / guests, 1),
        "again_s": round(again, 1),
        "lost": lost,
        "changed": changed,
    }


def _rebuild(stage: Stage, key: Path) -> float:
    """Run the command as a person does; return how many seconds it took."""
    vouching = host_api.authority(stage.plan.directory)
    pair = host_api.operator_pair(vouching)
    command: list[str | Path] = [
        paths.venv_program("innkeeper"),
        "operator",
        "rebuild",
        "--kubeconfig",
        stage.operator_kubeconfig,
        "--hosts-file",
        stage.plan.directory / HOSTS_FILE,
        "--hosts-ca-file",
        vouching.own.certificate,
        "--hosts-certificate-file",
        pair.certificate,
        "--hosts-key-file",
        pair.key,
        "--order-key-file",
        key,
    ]  # fmt: skip - a flag and its value share a line
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=REBUILT_WITHIN_S)
    took = time.monotonic() - began
    if done.returncode:
        raise steps.StepError(f"the rebuild failed:\n{done.stderr[-2000:]}")
    return took


async def _compared(stage: Stage, *, hosts: int, guests: int) -> tuple[int, int]:
    """Return how many guests are not there, and how many are there otherwise than their hosts hold them."""
    async with Client(Credentials.from_kubeconfig(stage.admin), request_timeout_s=120) as client:
        bound = {
            each.metadata.annotations.get(ID_ANNOTATION): each.status
            for each in (await client.list(GUESTS)).items
        }
        texts = {each.metadata.name: each.spec.order for each in (await client.list(ASSIGNMENTS)).items}
        owners = {
            each.spec.address: each.spec.owner.id
            for each in (await client.list(IP_ADDRESSES)).items
            if each.spec.owner is not None
        }
    lost = changed = 0
    signed = {
        each.guest_id: each.order
        for entries in held.entries(hosts=hosts, guests=guests).values()
        for each in entries
    }
    for order in held.orders(hosts=hosts, guests=guests):
        status = bound.get(order.guest_id)
        if status is None:
            lost += 1
            continue
        addresses = [each.address for each in order.addresses]
        same = (
            status.host == order.host
            and [each.address for each in status.addresses] == addresses
            and all(owners.get(each) == order.guest_id for each in addresses)
            and texts.get(order.guest_id) == signed[order.guest_id]
        )
        changed += not same
    return lost, changed


if __name__ == "__main__":
    command_line.run(main)
