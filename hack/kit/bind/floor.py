"""What the two writes of a bind cost as bare custom resources: the same bytes, no rules, no policies, nobody who watches.

Nothing that Innkeeper could leave out is left in here, so what is left is the price of custom resources in the API
server. The writer is a plain client in this process.
"""

import asyncio
import time
from typing import Any

from kit.bind.contest import Result, cpu_of
from kit.bind.filling import GROUP, NAMESPACE, Api, each
from kit.daemons import Daemon

_GROUP = "floor.bench.innkeeper.dev"
_PATH = f"/apis/{_GROUP}/v1/namespaces/{NAMESPACE}"
_ESTABLISHED_WITHIN_S = 30.0


async def timed(api: Api, *, count: int, beside: dict[str, Daemon]) -> Result:
    """Write what a race wrote once more, as bare objects.

    Raises:
        RuntimeError: the API server refused.
        TimeoutError: it does not serve the new kinds.
    """
    guests = (await api.call("GET", f"{GROUP}/namespaces/{NAMESPACE}/guests"))["items"]
    orders = [item["spec"] for item in (await api.call("GET", f"{GROUP}/assignments"))["items"]]
    for kind in ("guest", "order"):
        await _define(api, kind)
    kept: list[dict[str, Any]] = [{}] * count

    async def create(number: int) -> None:
        kept[number] = await api.call(
            "POST", f"{_PATH}/guests", _bare("Guest", number, guests[number]["spec"])
        )

    async def write(number: int) -> None:
        status = {**kept[number], "status": guests[number]["status"]}
        await api.call("PUT", f"{_PATH}/guests/{_name(number)}/status", status)
        await api.call("POST", f"{_PATH}/orders", _bare("Order", number, orders[number]))

    await each(create, range(count))
    began, before = time.monotonic(), cpu_of(beside)
    await each(write, range(count))
    took, after = time.monotonic() - began, cpu_of(beside)
    return Result(count, 0.0, took, {name: (after[name] - before[name]) * 1000 / count for name in beside})


def _name(number: int) -> str:
    return f"g{number:05}"


def _bare(kind: str, number: int, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": {"name": _name(number)}, "spec": spec}


async def _define(api: Api, kind: str) -> None:
    """Define a kind that takes everything, and wait until it is served."""
    plural = f"{kind}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"plural": plural, "singular": kind, "kind": kind.capitalize()}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {"group": _GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    async with asyncio.timeout(_ESTABLISHED_WITHIN_S):
        while not await _is_served(api, plural):  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(0.1)


async def _is_served(api: Api, plural: str) -> bool:
    async with api.open("GET", f"{_PATH}/{plural}?limit=1") as answer:
        return bool(answer.ok)
