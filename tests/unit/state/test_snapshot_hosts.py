"""A snapshot names hosts, whichever version of the program wrote it."""

import pytest

from innkeeper.state import snapshot
from innkeeper.state.snapshot import Kind, Origin, Refused, SnapshotRefusedError
from innkeeper.state.snapshot_hosts import hosts_of
from innkeeper.views.host import Host, HostAgent
from innkeeper.views.meta import Meta, View
from tests.kit import objects
from tests.kit.objects import view

VIEWS: dict[str, type[View]] = {"hosts": Host, "hostagents": HostAgent}


def content(hosts: list[View], agents: list[View], views: dict[str, type[View]] | None = None) -> bytes:
    return snapshot.encode(
        {"hosts": Kind("12", hosts), "hostagents": Kind("12", agents)},
        views=views or VIEWS,
        origin=Origin("elsewhere", "first", "m1"),
        made_at=objects.NOW,
    )


def an_agent(host: str, address: str | None) -> HostAgent:
    status = {"address": address} if address is not None else {}
    return view(
        {
            "metadata": {"name": "host", "namespace": f"host-{host}"},
            "spec": {"cluster": "lab", "network": {"bridge": "br0"}},
            "status": status,
        },
        HostAgent,
    )


def test_hosts_are_named_with_the_addresses_that_their_agents_reported() -> None:
    hosts: list[View] = [view(objects.host(name), Host) for name in ("a", "silent", "unheard")]
    lost = objects.host("gone")
    lost["spec"]["lost"] = "it burnt down"
    agents: list[View] = [
        an_agent("a", "10.0.0.1:9104"),
        an_agent("silent", None),
        an_agent("unregistered", "10.0.0.2:9104"),
        an_agent("gone", "10.0.0.3:9104"),
    ]
    assert hosts_of(content([*hosts, view(lost, Host)], agents)) == {
        "a": "10.0.0.1:9104",
        "silent": None,
        "unheard": None,
        "unregistered": "10.0.0.2:9104",
    }


def test_one_that_was_written_by_another_version_names_them_too() -> None:
    class Later(View, frozen=True, kw_only=True):
        metadata: Meta
        spec: dict[str, str]
        added: dict[str, int]

    later = Later(metadata=Meta(name="a"), spec={"cluster": "lab"}, added={"x": 1})
    assert hosts_of(content([later], [], {**VIEWS, "hosts": Later})) == {"a": None}


def test_a_cut_one_names_nobody() -> None:
    with pytest.raises(SnapshotRefusedError) as caught:
        hosts_of(content([], [])[:-1])
    assert caught.value.why is Refused.DAMAGED
