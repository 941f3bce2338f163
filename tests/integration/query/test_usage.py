"""How much guests take, and where a guest of an ID is: for those who may know, and in part where hosts are silent."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import GUESTS
from innkeeper.processes.operator import OperatorProcess
from tests.integration.query.conftest import Plane, Queries, answering
from tests.integration.query.test_console import reading
from tests.kit.told_agent import hosts_pki, served
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

NAMESPACE = "/namespaces/default"


async def bind(plane: Plane, name: str, host: str) -> str:
    """Bind a guest as the operator would; return its Guest ID."""
    async with Client(Credentials.from_kubeconfig(plane.operator)) as client:
        guest = await client.get(GUESTS, name, namespace="default")
        resources = {"cpu": "2", "memory": "1Gi", "disk": "10Gi"}
        status = {
            "host": host,
            "id": guest.metadata.uid,
            "cluster": "lab",
            "epoch": 1,
            "resources": resources,
        }
        await client.patch(GUESTS, name, {"status": status}, namespace="default", subresource="status")
        return guest.metadata.uid


async def bound(operator: OperatorProcess, name: str) -> None:
    """Wait until the operator knows the host of a guest."""
    await eventually(lambda: operator.subset.guests[("default", name)].status.host, deadline_s=60)


async def test_usage_is_told_by_hosts_that_answer_and_the_others_are_named(
    plane: Plane, tmp_path: Path
) -> None:
    web_id, _ = await bind(plane, "web", "a"), await bind(plane, "db", "gone")
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        if request.path != "/v1/usage":
            return web.json_response({"reason": "Busy", "message": "not now"}, status=503)
        asked += 1
        mine = {"guestId": web_id, "cpuMillis": 500, "memoryBytes": 1 << 29}
        # It speaks of somebody else's guest, too, which it does not hold.
        other = {"guestId": "another", "cpuMillis": 9, "memoryBytes": 9}
        told = {"host": "a", "at": "2026-01-01T00:00:00Z", "windowS": 1.0, "guests": [mine, other]}
        return web.json_response(told)

    alice = plane.authority.ensure_client("alice", user="alice")
    bob = plane.authority.ensure_client("bob", user="bob")
    pki = hosts_pki(tmp_path / "hosts", "a")
    async with (
        served(pki, answer) as place,
        answering(plane, tmp_path, **reading(pki, tmp_path, place)) as (operator, queries),
    ):
        await bound(operator, "web")
        await bound(operator, "db")
        listed = await complete(queries, alice)
        [item] = listed["items"]
        assert (item["metadata"]["name"], item["status"]["running"]) == ("web", True)
        assert (item["status"]["cpuMillis"], item["status"]["memoryBytes"]) == (500, 1 << 29)
        assert item["status"]["promised"] == {"cpuMillis": 2000, "memoryBytes": 1 << 30}
        assert 0 <= item["status"]["ageSeconds"] < 60
        [missing] = listed["missing"]
        assert (missing["host"], missing["guests"]) == ("gone", 1)
        assert "cannot be asked" in missing["message"]

        before = asked
        status, one = await queries.ask(f"{NAMESPACE}/guestviews/web/usage", certificate=alice)
        assert (status, one["status"]["cpuMillis"]) == (200, 500)
        assert asked <= before + 1
        status, told = await queries.ask(f"{NAMESPACE}/guestviews/db/usage", certificate=alice)
        assert (status, told["reason"]) == (503, "ServiceUnavailable")

        for path in (f"{NAMESPACE}/guestviews/web/usage", f"{NAMESPACE}/guestusages"):
            assert (await queries.ask(path, certificate=bob))[0] == 403
        assert (await queries.ask("/guestusages", certificate=alice))[0] == 403, "not of every account"


async def complete(queries: Queries, who: Any) -> Any:
    """List usage once the operator has read where the host is."""

    async def host_is_known() -> Any:
        status, found = await queries.ask(f"{NAMESPACE}/guestusages", certificate=who)
        assert status == 200, found
        return found if found["items"] else None

    return await eventually(host_is_known, deadline_s=60)


async def test_a_guest_is_found_by_its_id_by_who_may_get_it(plane: Plane, tmp_path: Path) -> None:
    web_id = await bind(plane, "web", "a")
    alice = plane.authority.ensure_client("alice", user="alice")
    bob = plane.authority.ensure_client("bob", user="bob")
    async with answering(plane, tmp_path) as (operator, queries):
        await bound(operator, "web")
        status, found = await queries.ask(f"/guestids/{web_id}", certificate=alice)
        assert (status, found["metadata"]["name"], found["metadata"]["namespace"]) == (200, "web", "default")
        # Who may not see it is told what they are told of an ID that nobody has.
        for who, guest_id in ((bob, web_id), (bob, "none"), (alice, "none")):
            status, told = await queries.ask(f"/guestids/{guest_id}", certificate=who)
            assert (status, told["message"]) == (404, f'there is no guest "{guest_id}" that you may see')
        assert (await queries.ask(f"/guestids/{web_id}"))[0] == 401
