"""A Host goes to its host and comes back: what its agent was told of it makes it anew."""

from typing import Any

import msgspec
import pytest

from innkeeper.domain.rebuild.documents import host_document
from innkeeper.views.host import Host, HostAgentSpec, HostScheduling, Network
from innkeeper.workers.hosts.identity import host_orders
from tests.kit import objects
from tests.kit.objects import view

TAINT = {"key": "gpu", "value": "a100", "effect": "NoSchedule"}


def told(host: dict[str, Any]) -> HostAgentSpec:
    """Return what the agent of a Host is told."""
    orders = host_orders(view(host, Host), network=Network(bridge="br0"), keys=[])
    return msgspec.convert(orders, HostAgentSpec)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"unschedulable": True},
        {"maintenance": True, "taints": [TAINT, {"key": "old", "value": "", "effect": "PreferNoSchedule"}]},
        {"allowEmulation": True, "overcommit": {"cpuPercent": 400}},
    ],
)
@pytest.mark.parametrize("labels", [{}, {"zone": "a", "example.com/rack": "7"}])
def test_a_host_that_is_made_anew_takes_the_guests_that_it_took(
    spec: dict[str, Any], labels: dict[str, str]
) -> None:
    before = view(objects.host(labels=labels, **spec), Host)
    after = view(host_document("a", told(objects.host(labels=labels, **spec))), Host)
    assert after.spec == before.spec
    assert after.metadata.labels == labels


def test_one_of_which_nobody_says_whether_it_takes_guests_takes_none() -> None:
    settings = msgspec.structs.replace(told(objects.host()), scheduling=None)
    assert host_document("a", settings)["spec"]["unschedulable"] is True


def test_a_pipeline_does_not_take_it_for_its_own() -> None:
    found = told(objects.host(labels={"app.kubernetes.io/instance": "hosts", "zone": "a"}))
    assert host_document("a", found)["metadata"]["labels"] == {"zone": "a"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("app.kubernetes.io/instance", "shop"),  # a pipeline would prune the Host
        ("innkeeper.dev/rebuilt", "true"),
        ("bad key", "x"),
        ("", "x"),
        ("/zone", "x"),
        ("a/b/zone", "x"),
        ("Example.com/zone", "x"),
        ("example..com/zone", "x"),
        (f"{'a' * 254}/zone", "x"),
        ("z" * 64, "x"),
        ("zone\n", "x"),
        ("zone", "v v"),
        ("zone", "-a"),
        ("zone", "x" * 64),
    ],
)
def test_a_label_that_no_host_of_ours_has_does_not_keep_the_host_from_being_made(
    key: str, value: str
) -> None:
    good = {"Rack_1": "", "example.com/zone": "A.b_c-1", f"{'a' * 253}/{'z' * 63}": "x" * 63}
    settings = msgspec.structs.replace(
        told(objects.host()), scheduling=HostScheduling(labels={key: value, **good})
    )
    assert host_document("a", settings)["metadata"]["labels"] == good


def test_very_many_labels_never_keep_the_host_from_its_orders() -> None:
    found = told(objects.host(labels={f"l{number:03}": "x" for number in range(100)}))
    assert found.scheduling is not None
    assert len(found.scheduling.labels) == 64
