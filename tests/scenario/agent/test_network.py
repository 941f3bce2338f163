"""What the agent makes of its host's network: an address in use is a refusal, trouble is the host's own."""

import pytest

from innkeeper.agent.imaging.seed import network_config
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.two_cards import FIRST, ROUTER, SECOND, four, six, two_cards
from tests.kit.waiting import eventually

GUEST = guest_id()
THEIRS = "52:54:00:00:00:99"


async def test_an_address_that_somebody_answers_for_is_refused_with_its_mac(host: AgentHost) -> None:
    """The report names interface, address and MAC, and a new agent says the same from its store."""
    host.network.answering["10.0.0.11"] = THEIRS
    host.start()
    await host.assign(order())
    told = await host.told(GUEST, "AddressInUse", outcome="Refused")
    assert THEIRS in told.message
    conflict = (await host.assignment(GUEST)).status.conflict
    assert conflict is not None
    assert (conflict.interface, conflict.address, conflict.mac) == ("eth0", "10.0.0.11", THEIRS)
    assert GUEST not in host.driver.running()

    await host.kill()
    await host.admin.patch(
        ASSIGNMENTS, GUEST, {"status": {"conflict": None}}, namespace=host.namespace, subresource="status"
    )
    host.start()

    async def told_again() -> bool:
        return (await host.assignment(GUEST)).status.conflict == conflict

    await eventually(told_again)


async def test_the_next_epoch_is_asked_anew(host: AgentHost) -> None:
    """The operator gave another address; nobody answers for that one."""
    host.network.answering["10.0.0.11"] = THEIRS
    host.start()
    await host.assign(order())
    await host.told(GUEST, "AddressInUse", outcome="Refused")
    host.network.answering.clear()
    await host.assign(order(epoch=2))
    await host.told(GUEST, "Running")
    assert (await host.assignment(GUEST)).status.conflict is None


async def test_a_guest_that_was_accepted_is_not_asked_about_again(host: AgentHost) -> None:
    """It answers for its address itself: a restart of the agent, or a power cycle, is no conflict."""
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    host.network.answering["10.0.0.11"] = THEIRS
    await host.kill()
    host.start()
    await host.assign(order(serial=2, desired="Stopped"))
    await host.told(GUEST, "Stopped")
    await host.assign(order(serial=3))
    await host.told(GUEST, "Running")


async def test_no_guest_starts_before_its_filter_is_there(
    host: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at its first start, nor where it starts again after its machine did."""
    start, was_there = host.driver.start, []

    async def watched(guest_id: str) -> None:
        was_there.append(guest_id in host.network.prepared)
        await start(guest_id)

    monkeypatch.setattr(host.driver, "start", watched)
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    await host.kill()
    host.driver.reboot()
    host.network.prepared.clear()
    host.start()
    await eventually(lambda: host.driver.running() == {GUEST})
    assert was_there == [True, True]


async def test_a_destroyed_guest_is_unplugged(host: AgentHost) -> None:
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    assert host.network.prepared == {GUEST}
    await host.assign(order(serial=2, desired="Destroyed"))
    await host.told(GUEST, "Destroyed", outcome="Destroyed")
    assert host.network.prepared == set()


async def test_trouble_with_the_network_is_told_of_the_host(host: AgentHost) -> None:
    """No guest is sent to a host whose packet filter cannot be set."""
    host.network.trouble = "nft refuses"
    host.start()

    async def told() -> bool:
        agent = await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)
        return [(each.status, each.reason) for each in agent.status.conditions] == [
            ("False", "NetworkFailed")
        ]

    await eventually(told)


async def test_a_guest_is_told_one_default_route_of_each_family(host: AgentHost) -> None:
    """It answers over the interface that it was asked at: two equal routes would have it lie by its address."""
    host.start()
    await host.assign(two_cards(four(FIRST), six(FIRST, gateway=False), four(SECOND), six(SECOND)))
    await host.told(GUEST, "Running")
    cards = network_config(host.images.seeds[GUEST].addresses)["ethernets"]
    assert cards[FIRST]["routes"] == [{"to": "0.0.0.0/0", "via": "10.70.0.1"}]
    assert cards[SECOND]["routes"] == [{"to": "::/0", "via": ROUTER}]
    assert cards[SECOND]["addresses"] == ["10.71.0.11/24", "fd00:71::11/64"]
