"""What the agent makes of its host's network: an address in use is a refusal, trouble is the host's own."""

import pytest

from innkeeper.agent import asking
from innkeeper.agent.imaging.seed import network_config
from innkeeper.agent.store.store import Store
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import HOST, STORE, guest_id, order
from tests.kit.clock import ManualClock
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a wire that cannot be asked again at once."""
    monkeypatch.setattr(asking, "AGAIN_S", 0.001)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_used", [False, True])
async def test_a_wire_that_cannot_be_asked_for_a_moment_is_asked_again(
    host: AgentHost, *, is_used: bool
) -> None:
    """As while somebody starts the host's networking again: what nobody heard is no silence."""
    host.network.unaskable = asking.TRIES - 1
    if is_used:
        host.network.answering["10.0.0.11"] = THEIRS
    host.start()
    await host.assign(order())
    if is_used:
        await host.told(GUEST, "AddressInUse", outcome="Refused")
    else:
        await host.told(GUEST, "Running")
    assert host.network.unaskable == 0


@pytest.mark.usefixtures("impatient")
async def test_a_wire_that_cannot_be_asked_refuses_a_new_guest_and_says_why(host: AgentHost) -> None:
    """No address is at fault, so none is replaced; the next order is asked for anew."""
    host.network.unaskable = asking.TRIES
    host.start()
    await host.assign(order())
    told = await host.told(GUEST, "NetworkFailed", outcome="Refused")
    assert "addresses are free" in told.message
    assert "Network is down" in told.message
    assert (await host.assignment(GUEST)).status.conflict is None
    await host.assign(order(epoch=2))
    await host.told(GUEST, "Running")


@pytest.mark.usefixtures("impatient")
async def test_a_fault_of_the_question_is_no_silence_either(
    host: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(host.network, "conflict", broken)
    host.start()
    await host.assign(order())
    told = await host.told(GUEST, "NetworkFailed", outcome="Refused")
    assert "log" in told.message
    assert "broken" not in told.message


async def test_a_bridge_that_is_not_there_is_told_at_once(host: AgentHost) -> None:
    """Nobody waits for a wire: `test_a_missing_bridge_is_a_refusal` tells with what."""
    wanted = {"spec": {"network": {"bridge": "br9"}}}
    await host.admin.patch(HOST_AGENTS, "host", wanted, namespace=host.namespace)
    host.clock = ManualClock()
    host.start()
    await host.assign(order())
    await host.told(GUEST, "BridgeMissing", outcome="Refused")


@pytest.mark.usefixtures("impatient")
async def test_a_guest_whose_disk_is_here_is_not_refused_for_a_wire_that_cannot_be_asked(
    running: AgentHost,
) -> None:
    """The store was lost: refused, it would be built a second time elsewhere."""
    await running.kill()
    for each in running.directory.glob("agent.db*"):
        each.unlink()
    store = await Store.open(running.directory / "agent.db", host=HOST, new_id=STORE)
    await store.close()
    running.reboot()
    running.network.unaskable = asking.TRIES
    running.start()
    await running.assign(order(serial=2))
    await eventually(lambda: running.driver.running() == {GUEST})
    assert running.network.unaskable == 0


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
    host.reboot()
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
