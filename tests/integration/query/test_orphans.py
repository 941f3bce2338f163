"""Orphans against a real API server with its policies and rights: who sees them, who adopts, who removes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from innkeeper.domain import names
from innkeeper.domain.lifecycle.revival import HeldOrder, held_assignment_document
from innkeeper.domain.orders import Order
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS
from innkeeper.processes.operator import OperatorProcess
from innkeeper.processes.order_key import KeySource, load_order_keys
from innkeeper.workers.orphans.finding import SIGHTINGS
from tests.integration.query.conftest import Plane, Queries, answering
from tests.kit.agent_orders import address, guest_id, order
from tests.kit.install import run
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

PATH = "/namespaces/default/orphans"
GIVE_VIEW = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: victor}]
"""


async def give_order(plane: Plane, number: int) -> Order:
    """Have host `a` ordered to run a guest that has no object, as the operator left it."""
    async with Client(Credentials.from_kubeconfig(plane.operator)) as client:
        keys = await load_order_keys(client, KeySource(names.SYSTEM_NAMESPACE))
        at = msgspec.structs.replace(
            address(10 + number, guest=guest_id(number)), space="default", pool="lab"
        )
        told = order(number, host="a", namespace="default", name=f"lost-{number}", addresses=[at])
        document = held_assignment_document(HeldOrder(order=told, text=keys.signer.sign(told)))
        await client.create(ASSIGNMENTS, document, namespace="host-a")
    return told


async def seen(operator: OperatorProcess, *guest_ids: str) -> None:
    """Wait until the operator counts these as orphans."""
    await eventually(lambda: set(guest_ids) <= set(operator.subset.assignments), deadline_s=30)
    await eventually(operator.holdings._is_fresh, deadline_s=30)
    for _ in range(SIGHTINGS):
        await operator.holdings.orphans.look()
    assert set(guest_ids) <= {each.guest_id for each in operator.holdings.orphans.all()}


async def post(queries: Queries, path: str, **who: Any) -> tuple[int, Any]:
    return await queries.ask(f"{PATH}/{path}", body={}, **who)


async def test_who_sees_adopts_and_removes(plane: Plane, tmp_path: Path) -> None:
    run(plane.admin, "apply", "-f", "-", stdin=GIVE_VIEW)
    alice = plane.authority.ensure_client("alice", user="alice")
    victor = plane.authority.ensure_client("victor", user="victor")
    bob = plane.authority.ensure_client("bob", user="bob")
    async with answering(plane, tmp_path) as (operator, queries):
        status, told = await queries.ask(PATH, certificate=alice)
        assert (status, told["reason"]) == (503, "ServiceUnavailable"), "nobody has looked often enough"
        await eventually(lambda: plane_has_namespace(plane), deadline_s=30)
        kept, removed = await give_order(plane, 1), await give_order(plane, 2)
        await seen(operator, kept.guest_id, removed.guest_id)

        status, listed = await queries.ask(PATH, certificate=victor)
        assert status == 200
        assert [each["status"]["guest"] for each in listed["items"]] == ["lost-1", "lost-2"]
        assert listed["items"][0]["metadata"] == {"name": kept.guest_id, "namespace": "default"}
        assert (await queries.ask(PATH, certificate=bob))[0] == 403
        assert (await queries.ask("/orphans", certificate=alice))[0] == 403

        for word in ("adoption", "removal"):
            assert (await post(queries, f"{kept.guest_id}/{word}", certificate=victor))[0] == 403
            assert (await post(queries, f"{kept.guest_id}/{word}", certificate=bob))[0] == 403
        assert (await post(queries, "no-such-guest/adoption", certificate=alice))[0] == 404

        status, told = await post(queries, f"{kept.guest_id}/adoption", certificate=alice)
        assert (status, told["status"]["guest"]) == (201, "lost-1")
        await until_bound(plane, "lost-1", kept)

        status, told = await post(queries, f"{removed.guest_id}/removal", certificate=alice)
        assert (status, told["status"]["host"]) == (201, "a")
        await until_destroyed(plane, removed)
        status, _ = await post(queries, f"{removed.guest_id}/adoption", certificate=alice)
        assert status == 404, "an order to destroy it stands"


def plane_has_namespace(plane: Plane) -> bool:
    return run(plane.admin, "get", "namespace", "host-a", check=False).returncode == 0


async def until_bound(plane: Plane, name: str, told: Order) -> None:
    """Wait until a Guest is bound to where it runs."""
    async with Client(Credentials.from_kubeconfig(plane.admin)) as admin:

        async def is_bound() -> bool:
            guest = await admin.get(GUESTS, name, namespace="default")
            assert guest.metadata.annotations[names.ID_ANNOTATION] == told.guest_id
            assert guest.status.id == told.guest_id
            return guest.status.host == "a"

        await eventually(is_bound, deadline_s=30)


async def until_destroyed(plane: Plane, told: Order) -> None:
    """Wait until the host is ordered to destroy a guest."""
    async with Client(Credentials.from_kubeconfig(plane.admin)) as admin:

        async def is_ordered() -> bool:
            found = await admin.get(ASSIGNMENTS, told.guest_id, namespace="host-a")
            return (found.spec.desired, found.spec.serial) == ("Destroyed", told.serial + 1)

        await eventually(is_ordered, deadline_s=30)
