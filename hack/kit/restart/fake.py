"""An API server of the tests with many bound guests, for sizes that a real one takes an hour to fill.

It knows what a start asks and nothing more. Prints one line when it is full, and goes on until ended.
"""

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from innkeeper.domain.names import host_namespace
from innkeeper.domain.orders import Signer
from innkeeper.kube.resources import ASSIGNMENTS, CLUSTERS, FLAVORS, GUESTS, HOSTS, IP_POOLS, NAMESPACES
from tests.kit import objects
from tests.kit.agent_orders import order
from tests.kit.fake_api import FakeApi

SIZE = {"cpu": "100m", "memory": "64Mi", "disk": "64Mi"}
SIGNER = Signer(b"\x07" * 32)


async def serve(tell: Callable[[str], object], *, hosts: int, guests: int) -> None:
    """Fill it, tell how to get in, and serve until ended."""
    async with FakeApi() as api:
        _fill(api, hosts=hosts, guests=guests)
        api.store.forget_history()
        api.calls.clear()
        credentials = api.credentials()
        document = {
            "clusters": [{"name": "fake", "cluster": {"server": credentials.server}}],
            "users": [{"name": "fake", "user": {"token": credentials.token}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "current-context": "fake",
        }
        tell(json.dumps(document))
        print("full", flush=True)
        await asyncio.Event().wait()


def _fill(api: FakeApi, *, hosts: int, guests: int) -> None:
    network = {"network": {"bridge": "br0"}}
    api.create(CLUSTERS, {"metadata": {"name": "lab"}, "spec": network})
    api.create(FLAVORS, objects.flavor("bench", cpu="100m", memory="64Mi", disk="64Mi"))
    api.create(IP_POOLS, objects.pool("bench", cidr="10.0.0.0/8"))
    for number in range(hosts):
        name = f"h{number}"
        api.create(NAMESPACES, {"metadata": {"name": host_namespace(name)}})
        api.create(HOSTS, objects.host(name))
    text = SIGNER.sign(order())
    for number in range(guests):
        guest_id, host = objects.guest_id(number), f"h{number % hosts}"
        status = {"host": host, "epoch": 1, "cluster": "lab", "resources": SIZE}
        body = objects.guest(f"g{number}", number=number, status=status)
        api.create(GUESTS, body, namespace="default")
        assignment = objects.assignment(guest=guest_id, host=host, order=text, status={"outcome": "Accepted"})
        api.create(ASSIGNMENTS, assignment, namespace=host_namespace(host))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--guests", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.kubeconfig.write_text, hosts=options.hosts, guests=options.guests))
