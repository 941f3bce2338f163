"""The objects of the bench, and how they get into the API server: many at once, over one client.

Runs with Innkeeper's own Python. Hosts report through their HostAgents as agents would; guests and pods ask for the same
amounts. Nothing here is timed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self

import aiohttp

from innkeeper.domain import names
from innkeeper.kube.credentials import Credentials

GROUP = "/apis/innkeeper.dev/v1alpha1"
NAMESPACE = "default"
AT_ONCE = 48
MERGE = {"Content-Type": "application/merge-patch+json"}
AMOUNTS = {"cpu": "100m", "memory": "64Mi"}
MACHINE = {"cpu": "32", "memory": "64Gi", "disk": "1Ti"}
FIRST_ADDRESS = 10 * 2**24 + 200 * 2**16 + 256  # 10.200.1.0


class Api:
    """Raw calls under one identity."""

    def __init__(self, kubeconfig: Path) -> None:
        self._credentials = Credentials.from_kubeconfig(kubeconfig)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=self._credentials.ssl_context() or False)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Call the API server and return its answer.

        Raises:
            RuntimeError: it refused.
        """
        async with self.open(method, path, body, headers) as answer:
            document: dict[str, Any] = await answer.json()
            if not answer.ok:
                raise RuntimeError(f"{method} {path}: {answer.status} {document.get('message')}")
            return document

    def open(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Return a request as a context: for watches."""
        token = self._credentials.bearer()
        own = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        return self._session.request(
            method,
            self._credentials.server + path,
            json=body,
            headers={**own, **(headers or {})},
            timeout=timeout,
        )  # fmt: skip - one call


async def each(work: Callable[[int], Awaitable[object]], numbers: Iterable[int]) -> None:
    """Do something for each number, many at once."""
    waiting = list(numbers)[::-1]

    async def worker() -> None:
        while waiting:
            await work(waiting.pop())

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


def host_name(number: int) -> str:
    """Return the name of a host or node."""
    return f"h{number:05}"


async def create_hosts(api: Api, count: int, *, first: int = 0) -> None:
    """Create the Hosts from `first` up to `count`; their namespaces and identities are the operator's work."""
    body = {"cluster": "bench", "overcommit": {"cpuPercent": 100}}
    await each(
        lambda number: api.call("POST", f"{GROUP}/hosts", _kind("Host", host_name(number), spec=body)),
        range(first, count),
    )


async def report_hosts(api: Api, count: int) -> None:
    """Report for every host as its agent would."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }

    async def report(number: int) -> None:
        name = host_name(number)
        status = {"storeId": f"store-{name}", "hypervisor": "KVM", "capacity": MACHINE, "conditions": [ready]}
        agent = f"{GROUP}/namespaces/{names.host_namespace(name)}/hostagents/host/status"
        await api.call("PATCH", agent, {"status": status}, MERGE)
        await api.call(
            "PATCH", f"{GROUP}/hosts/{name}/status", {"status": {"storeId": f"store-{name}"}}, MERGE
        )

    await each(report, range(count))


async def create_nodes(api: Api, count: int) -> None:
    """Create Nodes that are ready."""
    size = {"cpu": MACHINE["cpu"], "memory": MACHINE["memory"], "pods": "250"}
    condition = {"type": "Ready", "status": "True", "reason": "Bench", "message": ""}
    status = {"capacity": size, "allocatable": size, "conditions": [condition]}

    async def create(number: int) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": host_name(number), "labels": {"kubernetes.io/hostname": host_name(number)}},
            "status": status,
        }
        await api.call("POST", "/api/v1/nodes", body)

    await each(create, range(count))


async def create_pods(api: Api, count: int) -> None:
    """Create pods that wait for a scheduler."""
    container = {"name": "main", "image": "bench", "resources": {"requests": AMOUNTS}}
    spec = {"containers": [container], "automountServiceAccountToken": False}

    async def create(number: int) -> None:
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number:05}"}, "spec": spec}
        await api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", body)

    await each(create, range(count))


async def create_guests(api: Api, count: int) -> list[str]:
    """Create Guests that wait for the operator; return their IDs by number."""
    spec = {"flavor": "bench", "image": {"name": "bench"}, "interfaces": [{"name": "eth0", "pool": "bench"}]}
    ids: dict[int, str] = {}

    async def create(number: int) -> None:
        path = f"{GROUP}/namespaces/{NAMESPACE}/guests"
        made = await api.call("POST", path, _kind("Guest", f"g{number:05}", spec=spec))
        ids[number] = made["metadata"]["uid"]

    await each(create, range(count))
    return [ids[number] for number in range(count)]


async def claim_addresses(api: Api, ids: list[str]) -> None:
    """Claim an address for each guest, as the operator does."""

    async def claim(number: int) -> None:
        value = FIRST_ADDRESS + number
        address = ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
        owner = {"id": ids[number], "namespace": NAMESPACE, "name": f"g{number:05}", "interface": "eth0"}
        labels = {names.GUEST_ID_LABEL: ids[number], names.POOL_LABEL: "bench"}
        spec = {"pool": "bench", "addressSpace": "default", "address": address, "owner": owner}
        body = _kind("IPAddress", names.address_name("default", address), spec=spec)
        body["metadata"] |= {"labels": labels, "finalizers": [names.ADDRESS_FINALIZER]}
        await api.call("POST", f"{GROUP}/ipaddresses", body)

    await each(claim, range(len(ids)))


def _kind(kind: str, name: str, *, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "innkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
