"""A store that was lost knows less than its host: whose machines and disks are here is not for it alone to say."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from innkeeper.agent.backup.copying import BackupMark, copy_store
from innkeeper.agent.backup.restore import restore
from innkeeper.agent.drivers.driver import Capacity, DomainPhase
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.store import Store
from innkeeper.clock import SystemClock, rfc3339
from innkeeper.domain.orders import Order, OrderResources
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS, LEASES
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import GIB, HOST, STORE, address, guest_id, order
from tests.kit.waiting import eventually, settled

OLD, GUEST, NEWER = guest_id(1), guest_id(2), guest_id(3)
NEW = "22222222-2222-4222-8222-222222222222"
MARK = BackupMark(store_id=STORE, taken_at="2026-01-01T00:00:00Z", agent_version="1")


@pytest.fixture
async def small(host: AgentHost) -> AgentHost:
    """A machine with room for one guest of `order`."""
    capacity = Capacity(cpu_millis=1000, memory_bytes=GIB, disk_bytes=4 * GIB)
    host.driver._hypervisor = SimulatedDriver(host.clock, capacity=capacity)._hypervisor
    return host


@pytest.fixture
async def replaced(small: AgentHost) -> tuple[AgentHost, Path]:
    """A backup knows the first guest; that one was destroyed since, and the second one has its room and its address."""
    small.start()
    await small.assign(order(1))
    await small.told(OLD, "Running")
    backup = small.directory / "inn-a.1.db"
    copy_store(StatePaths(small.directory).database, backup, MARK)
    await small.assign(order(1, serial=2, desired="Destroyed"))
    await small.told(OLD, "Destroyed", outcome="Destroyed")
    await small.assign(second())
    await small.told(GUEST, "Running")
    return small, backup


def second(**changes: Any) -> Order:
    """Return an order for the second guest, which has the address of the first."""
    return order(2, addresses=[address(11, guest=GUEST)], **changes)


async def lose_store(host: AgentHost, *, backup: Path | None = None, store_id: str = NEW) -> None:
    """The host has a new store, empty or from a backup, and the old heartbeat is over."""
    await host.kill()
    for path in host.directory.glob("agent.db*"):
        path.unlink()
    if backup is not None:
        restore(backup, StatePaths(host.directory), host=HOST, new_id=NEW, trusts_copy=False)
    else:
        await (await Store.open(host.directory / "agent.db", host=HOST, new_id=store_id)).close()
    await host.admin.delete(LEASES, "heartbeat", namespace=host.namespace)


async def nothing_is_told(host: AgentHost) -> None:
    """The second guest's Assignment was lost as well, and with it what the host told of the guest."""
    await host.admin.delete(ASSIGNMENTS, GUEST, namespace=host.namespace)


async def lists(host: AgentHost) -> dict[str, str]:
    answer = await ask(StatePaths(host.directory), Question(verb=Verb.LIST), clock=SystemClock())
    return {line.guest_id: line.reason for line in answer.guests}


def on_network(host: AgentHost) -> set[str]:
    wanted: Wanted | None = host.network.wanted()
    return {each.guest_id for each in wanted.orders} if wanted is not None else set()


async def test_a_guest_that_runs_here_is_not_refused_for_one_that_only_a_copy_knows(
    replaced: tuple[AgentHost, Path],
) -> None:
    host, backup = replaced
    await lose_store(host, backup=backup)
    await nothing_is_told(host)
    host.start()
    await host.assign(second(serial=2, store_id=NEW))
    await host.told(GUEST, "Running")
    assert host.driver.running() == {GUEST}
    assert host.driver.starts[GUEST] == 1


async def test_nobody_at_the_host_starts_a_copied_guest_beside_the_one_that_has_its_address(
    replaced: tuple[AgentHost, Path],
) -> None:
    host, backup = replaced
    await lose_store(host, backup=backup)
    host.start()
    await host.assign(second(serial=2, store_id=NEW))
    await host.told(GUEST, "Running")
    assert on_network(host) == {GUEST}, "an address stands twice in what the host's network is made from"
    question = Question(verb=Verb.START, guest=OLD, by="root")
    await ask(StatePaths(host.directory), question, clock=SystemClock())
    await settled(host.driver.running)
    assert host.driver.running() == {GUEST}
    assert (await lists(host))[OLD] == "WaitingForOrders"


async def test_a_new_guest_may_have_the_address_of_one_that_only_a_copy_knows_but_not_its_room(
    replaced: tuple[AgentHost, Path],
) -> None:
    host, backup = replaced
    large = Capacity(cpu_millis=3000, memory_bytes=3 * GIB, disk_bytes=12 * GIB)
    host.driver._hypervisor = SimulatedDriver(host.clock, capacity=large)._hypervisor
    await host.driver.remove(GUEST)
    await lose_store(host, backup=backup)
    host.start()
    await host.assign(order(3, store_id=NEW, addresses=[address(11, guest=NEWER)]))
    await host.told(NEWER, "Running")
    much = OrderResources(cpu_millis=2000, memory_bytes=GIB, disk_bytes=4 * GIB)
    await host.assign(order(4, store_id=NEW, resources=much))
    refused = await host.told(guest_id(4), "InsufficientCapacity", outcome="Refused")
    assert "has promised 2 to other guests" in refused.message


@pytest.mark.parametrize("machine", ["runs", "off", "undefined", "gone"])
async def test_a_guest_whose_machine_or_disk_is_here_is_asked_by_no_new_store_whether_it_fits(
    small: AgentHost, machine: str
) -> None:
    """What the host may promise was lowered since: that evicts nobody."""
    away = small.directory / "not-mounted"
    small.start()
    await small.assign(order(2))
    await small.told(GUEST, "Running")
    small.disk(GUEST).write_text("what the guest wrote")
    await lose_store(small)
    if machine != "gone":
        await nothing_is_told(small)
    if machine != "runs":
        small.reboot()
    if machine in ("undefined", "gone"):
        await small.driver.remove(GUEST)
    if machine == "gone":
        small.disk(GUEST).parent.rename(away)
    reserved = {"reserved": {"memory": "1Gi"}}
    await small.admin.patch(HOST_AGENTS, "host", {"spec": reserved}, namespace=small.namespace)
    small.network.answering = {"10.0.0.12": "52:54:00:00:00:01"}
    small.start()
    await small.assign(order(2, serial=2, store_id=NEW))
    if machine == "gone":
        await small.told(GUEST, "DiskMissing")
        away.rename(small.disk(GUEST).parent)
    await small.told(GUEST, "Running")
    assert small.driver.starts[GUEST] == (1 if machine == "runs" else 2)
    assert small.disk(GUEST).read_text() == "what the guest wrote"
    await small.assign(order(3, store_id=NEW))
    await small.told(NEWER, "InsufficientCapacity", outcome="Refused")


async def test_nobody_is_refused_before_it_is_known_which_machines_are_here(small: AgentHost) -> None:
    small.start()
    await small.assign(order(2))
    await small.told(GUEST, "Running")
    await lose_store(small)
    await nothing_is_told(small)
    small.disk(GUEST).parent.rename(small.directory / "not-mounted")
    small.gates.held.add("domains")
    small.network.answering = {"10.0.0.12": "52:54:00:00:00:01"}
    small.start()
    await small.assign(order(2, serial=2, store_id=NEW))
    await small.gates.reached["domains"].wait()
    await small.assign(order(3, store_id=NEW, desired="Superseded", image=None))
    await small.told(NEWER, "Stopping")  # others are looked at meanwhile
    assert GUEST not in await lists(small)
    small.gates.open()
    await small.told(GUEST, "Running")
    assert small.driver.starts[GUEST] == 1


async def test_a_guest_that_rests_is_not_run_again_by_a_new_store(running: AgentHost) -> None:
    rests = order(2, spec={"restart_policy": "Never"})
    await running.assign(rests)
    await running.told(GUEST, "Running")
    running.driver.power_off(GUEST)
    await running.told(GUEST, "Completed")
    await lose_store(running)
    running.start()
    await running.assign(order(2, serial=2, store_id=NEW, spec={"restart_policy": "Never"}))
    await running.told(GUEST, "Completed")
    assert running.driver.starts[GUEST] == 1


async def test_a_guest_that_stands_still_is_not_let_go_on_by_a_new_store(running: AgentHost) -> None:
    await running.assign(order(1))
    await running.told(OLD, "Running")
    await running.driver.pause(OLD)
    await lose_store(running)
    running.start()
    await running.assign(order(1, serial=2, store_id=NEW))
    await running.told(OLD, "Paused")
    await settled(lambda: running.driver.starts[OLD])
    assert (await running.driver.domains())[OLD].phase is DomainPhase.PAUSED


async def ask_for(host: AgentHost, verb: Verb) -> None:
    await ask(StatePaths(host.directory), Question(verb=verb, guest=OLD, by="root"), clock=SystemClock())


@pytest.mark.parametrize(
    "since", ["started by order", "started at the host", "paused", "left its other host"]
)
async def test_a_guest_that_lives_is_neither_stopped_nor_let_go_on_by_the_word_of_a_backup(
    running: AgentHost, since: str
) -> None:
    """The backup is of an hour ago; what the guest is to do now says its order, once that is for this store."""
    before = {"started by order": "Stopped", "left its other host": "Superseded"}.get(since, "Running")
    await running.assign(order(1, serial=2, desired=before))
    await running.told(OLD, before)
    if since == "started at the host":
        await ask_for(running, Verb.STOP)
        await running.told(OLD, "StoppedAtHost")
    backup, mark = (
        running.directory / "inn-a.1.db",
        msgspec.structs.replace(MARK, taken_at=rfc3339(running.clock.now())),
    )
    copy_store(StatePaths(running.directory).database, backup, mark)
    if since == "started at the host":
        await ask_for(running, Verb.START)
    else:
        await running.assign(order(1, epoch=2, serial=1))
    await running.told(OLD, "Running")
    if since == "paused":
        await running.driver.pause(OLD)
    stood = await running.driver.domains()
    await lose_store(running, backup=backup)
    running.start()
    await running.told(OLD, "OrderInvalid", outcome="Invalid")
    assert (await lists(running))[OLD] in {"WaitingForOrders", "Running"}
    await settled(lambda: running.driver.stops[OLD])
    assert await running.driver.domains() == stood
    await running.assign(order(1, epoch=2, serial=2, store_id=NEW))
    await running.told(OLD, "Paused" if since == "paused" else "Running")
    await settled(lambda: running.driver.stops[OLD])
    assert await running.driver.domains() == stood


async def test_a_person_stops_a_guest_that_only_a_backup_knows(running: AgentHost) -> None:
    await running.assign(order(1))
    await running.told(OLD, "Running")
    backup = running.directory / "inn-a.1.db"
    copy_store(StatePaths(running.directory).database, backup, MARK)
    await lose_store(running, backup=backup)
    running.start()
    await running.told(OLD, "OrderInvalid", outcome="Invalid")
    await ask_for(running, Verb.STOP)
    await eventually(lambda: not running.driver.running())


@pytest.mark.parametrize("here", ["its machine", "its disk", "what was told of it"])
async def test_a_guest_that_answers_from_another_machine_is_not_started_by_a_new_store(
    running: AgentHost, here: str
) -> None:
    """The host was replaced, its disks were copied, and the machine before still runs its guests."""
    await running.assign(order(2))
    await running.told(GUEST, "Running")
    await lose_store(running)
    if here != "what was told of it":
        await nothing_is_told(running)
    running.reboot()
    if here != "its machine":
        await running.driver.remove(GUEST)
    running.network.answering = {"10.0.0.12": order(2).addresses[0].mac}
    running.start()
    await running.assign(order(2, serial=2, store_id=NEW))
    await running.told(GUEST, "AddressInUse", outcome="Refused")
    assert GUEST not in running.driver.running()


@pytest.mark.parametrize("policy", ["OnFailure", "Never"])
async def test_a_guest_that_was_off_by_order_is_started_by_a_new_store(
    running: AgentHost, policy: str
) -> None:
    rests = {"restart_policy": policy}
    await running.assign(order(2, spec=rests))
    await running.told(GUEST, "Running")
    await running.assign(order(2, serial=2, desired="Stopped", spec=rests))
    await running.told(GUEST, "Stopped")
    await lose_store(running)
    running.start()
    await running.assign(order(2, serial=3, store_id=NEW, spec=rests))
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 2


@pytest.fixture
async def written(running: AgentHost) -> AgentHost:
    """The second guest was built and wrote something."""
    await running.assign(order(2))
    await running.told(GUEST, "Running")
    running.disk(GUEST).write_text("what the guest wrote")
    return running


async def reinstall(host: AgentHost, *, backup: Path | None = None) -> Path:
    """The machine was installed anew, the disks are not mounted; return where they are."""
    await lose_store(host, backup=backup)
    for each in (OLD, GUEST):
        await host.driver.remove(each)
    away = host.directory / "not-mounted"
    (host.directory / "guests").rename(away)
    return away


@pytest.mark.parametrize("read", ["both orders", "the new order"])
async def test_a_guest_that_a_new_store_does_not_know_gets_no_empty_disk(
    written: AgentHost, read: str
) -> None:
    away = await reinstall(written)
    if read == "the new order":
        await written.assign(order(2, serial=2, store_id=NEW))
        written.start()
    else:
        written.start()
        await written.told(GUEST, "OrderInvalid", outcome="Invalid")
        await written.kill()
        written.start()
        await written.assign(order(2, serial=2, store_id=NEW))
    await written.told(GUEST, "DiskMissing")
    assert not written.disk(GUEST).exists()
    away.rename(written.directory / "guests")
    await written.told(GUEST, "Running")
    assert written.disk(GUEST).read_text() == "what the guest wrote"


async def test_a_host_that_rebooted_without_its_disks_says_so_of_all_guests(written: AgentHost) -> None:
    backup = written.directory / "inn-a.1.db"
    copy_store(StatePaths(written.directory).database, backup, MARK)
    await written.assign(order(3))
    await written.told(NEWER, "Running")
    await lose_store(written, backup=backup)
    written.reboot()
    (written.directory / "guests").rename(written.directory / "not-mounted")
    written.start()
    for number in (1, 2, 3):
        await written.assign(order(number, serial=2, store_id=NEW))
        await written.told(guest_id(number), "DiskMissing")
    assert not written.driver.running()


async def test_two_losses_of_the_store_make_no_empty_disk_either(written: AgentHost) -> None:
    await reinstall(written)
    written.start()
    await written.assign(order(2, serial=2, store_id=NEW))
    await written.told(GUEST, "DiskMissing")
    third = "33333333-3333-4333-8333-333333333333"
    await lose_store(written, store_id=third)
    written.start()
    await written.assign(order(2, serial=3, store_id=third))
    await written.told(GUEST, "DiskMissing")
    assert not written.disk(GUEST).exists()


async def test_a_guest_that_a_copy_knows_as_not_built_yet_gets_no_empty_disk(running: AgentHost) -> None:
    await running.assign(order(2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
    backup = running.directory / "inn-a.1.db"
    copy_store(StatePaths(running.directory).database, backup, MARK)
    await running.assign(order(2, serial=2))
    await running.told(GUEST, "Running")
    await reinstall(running, backup=backup)
    running.start()
    await running.assign(order(2, serial=3, store_id=NEW))
    await running.told(GUEST, "DiskMissing")
    assert not running.disk(GUEST).exists()


async def test_nor_while_the_hypervisor_has_not_told_of_its_machine(running: AgentHost) -> None:
    await running.assign(order(2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
    backup = running.directory / "inn-a.1.db"
    copy_store(StatePaths(running.directory).database, backup, MARK)
    await running.assign(order(2, serial=2))
    await running.told(GUEST, "Running")
    running.driver.crash(GUEST)
    await lose_store(running, backup=backup)
    await nothing_is_told(running)
    running.disk(GUEST).parent.rename(running.directory / "not-mounted")
    running.gates.held.add("domains")
    running.start()
    await running.assign(order(2, serial=3, store_id=NEW))
    await running.gates.reached["domains"].wait()
    await running.assign(order(3, store_id=NEW, desired="Superseded", image=None))
    await running.told(NEWER, "Stopping")
    assert (await running.assignment(GUEST)).status.outcome is None
    running.gates.open()
    await running.told(GUEST, "DiskMissing")
    assert not running.disk(GUEST).exists()


async def test_the_network_stays_until_it_is_known_which_guests_of_a_copy_live(
    replaced: tuple[AgentHost, Path],
) -> None:
    host, backup = replaced
    await lose_store(host, backup=backup)
    host.start()
    await host.assign(second(serial=2, store_id=NEW))
    await host.told(GUEST, "Running")
    await host.kill()
    host.gates.held.add("domains")
    host.start()
    await host.gates.reached["domains"].wait()
    assert host.network.wanted() is None
    host.gates.open()
    await eventually(lambda: on_network(host) == {GUEST})


@pytest.mark.parametrize("store", ["new", "from a copy without guests"])
async def test_the_network_of_guests_stays_while_a_store_that_knows_none_cannot_see_them(
    host: AgentHost, store: str
) -> None:
    host.start()
    await eventually(lambda: host.network.wanted() is not None)
    backup = host.directory / "inn-a.1.db"
    copy_store(StatePaths(host.directory).database, backup, MARK)
    await host.assign(order(2))
    await host.told(GUEST, "Running")
    await lose_store(host, backup=backup if store != "new" else None)
    host.gates.held.add("domains")
    host.start()
    await host.assign(order(3, store_id=NEW, desired="Superseded", image=None))
    await host.told(NEWER, "Stopping")  # the network was ordered by now, and one guest is held
    assert host.network.wanted() is None, "the guest that runs would lose its ports"
    await host.assign(order(2, serial=2, store_id=NEW))
    host.gates.open()
    await host.told(GUEST, "Running")
    await eventually(lambda: on_network(host) >= {GUEST})


@pytest.mark.parametrize("before", ["never-run", "elsewhere", "refused", "destroyed"])
async def test_a_guest_that_had_no_disk_here_is_built(running: AgentHost, before: str) -> None:
    match before:
        case "never-run":
            await running.assign(order(2, desired="Stopped"))
            await running.told(GUEST, "Stopped")
        case "refused":
            running.network.answering = {"10.0.0.12": "52:54:00:00:00:01"}
            await running.assign(order(2))
            await running.told(GUEST, "AddressInUse", outcome="Refused")
        case "destroyed":
            await running.assign(order(2))
            await running.told(GUEST, "Running")
            await running.assign(order(2, serial=2, desired="Destroyed"))
            await running.told(GUEST, "Destroyed", outcome="Destroyed")
    running.network.answering = {}
    await reinstall(running)
    running.start()
    await running.assign(order(2, epoch=2, store_id=NEW))
    await running.told(GUEST, "Running")
    assert running.disk(GUEST).exists()


async def test_a_guest_that_was_destroyed_and_made_anew_is_built_by_the_same_store(
    running: AgentHost,
) -> None:
    await running.assign(order(serial=2, desired="Destroyed"))
    await running.told(OLD, "Destroyed", outcome="Destroyed")
    assert (await running.assignment(OLD)).status.built_epoch is None
    await running.assign(order(epoch=2))
    await running.told(OLD, "Running")
    assert (await running.assignment(OLD)).status.built_epoch == 2
