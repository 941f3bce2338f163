"""Labels and annotations of a Guest reach its host, signed; what the operator makes carries no mark of a pipeline."""

import json
from typing import Any

import pytest

from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS
from tests.integration.operator import scene
from tests.kit.journal import OWN
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.usefixtures("operator")]

MADE_BY_PEOPLE = ("Guest", "Image", "Flavor", "Cluster", "Host", "IPPool", "GuestOperation")
TRACKED = "shop:innkeeper.dev/Guest:default/web"


async def test_labels_and_annotations(admin: Client, name: str) -> None:
    await scene.infrastructure(admin, name)
    labels = {"team": "web", names.ARGO_INSTANCE_LABEL: name}
    annotations = {"example.com/contact": "web@example.com", names.ARGO_TRACKING_ANNOTATION: TRACKED}
    async with ScriptedAgent(admin, name) as agent:
        await agent.join()
        secret = {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "stringData": {"userData": "x"},
        }
        await admin.post("/api/v1/namespaces/default/secrets", secret)
        spec = {
            "flavor": name,
            "image": {"name": name},
            "interfaces": [{"pool": name}],
            "userData": {"secretName": name},
        }
        metadata = {"name": name, "labels": labels, "annotations": annotations}
        await admin.create(GUESTS, {"metadata": metadata, "spec": spec}, namespace="default")
        order = await agent.run_guest()
        assert order.labels == labels
        assert order.annotations == {"example.com/contact": "web@example.com"}
        await _no_mark_of_a_pipeline(admin, agent.namespace)

        change = {
            "metadata": {"labels": {"team": "db"}, "annotations": {names.ARGO_TRACKING_ANNOTATION: "x"}}
        }
        await scene.ready(admin, GUESTS, name, reason="Running")
        await admin.patch(GUESTS, name, change, namespace="default")
        newer = await _of_serial(agent, order.serial + 1)
        assert newer.labels == {**labels, "team": "db"}
        await admin.delete(GUESTS, name, namespace="default")
        await agent.destroy_guest()
        await scene.gone(admin, GUESTS, name, namespace="default")


async def _of_serial(agent: ScriptedAgent, serial: int) -> Any:
    async def newer() -> Any:
        _, found = await agent.order()
        return found if found.serial == serial else None

    return await eventually(newer, deadline_s=30)


async def _no_mark_of_a_pipeline(admin: Client, host_namespace: str) -> None:
    """Look at all that the operator made, of our kinds and of Kubernetes' own."""
    paths = [each.path() for kind, each in OWN.items() if kind not in MADE_BY_PEOPLE]
    core = f"/api/v1/namespaces/{host_namespace}"
    paths += [f"{core}/secrets", f"{core}/serviceaccounts", f"{core}/events"]
    found = [
        item["metadata"] for path in paths for item in json.loads(await admin._call("GET", path))["items"]
    ]
    found.append(json.loads(await admin._call("GET", core))["metadata"])
    assert len(found) > len(paths) - 2, "there is something to look at"
    for metadata in found:
        marks = {*metadata.get("labels", {}), *metadata.get("annotations", {})}
        assert not marks & {names.ARGO_INSTANCE_LABEL, names.ARGO_TRACKING_ANNOTATION}, metadata
    assert (await admin.list(ASSIGNMENTS, namespace=host_namespace)).items
