"""A guest that was deleted and made anew under its name, in a store that was put back to before: the later one is back.

Whatever becomes of its Guest, nobody else gets its addresses.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.resources import IP_POOLS, SECRETS
from innkeeper.workers.orphans.finding import SIGHTINGS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled
from tests.scenario.rebuild.killing import KILLED, Kill
from tests.scenario.rebuild.putting_back import furnished, hear, put_back, restore, running, sweep

WRITES = 10  # of one hearing
ONE_ADDRESS = {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}], "quarantine": "0s"}}
OTHER = {"restartPolicy": "Never", "interfaces": [{"name": "eth1", "pool": "lab"}]}


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give a pool of one address, which no quarantine holds back."""
    async with furnished() as made:
        made.api.patch(IP_POOLS, "lab", ONE_ADDRESS)
        yield made


async def replaced(scene: GuestScene, *, moment: str = "bound") -> object:
    """Have a guest be deleted and another one be made under its name; return a copy of the store from before."""
    if moment != "bound":
        scene.hosts["a"].hears = False
    backups = {}
    if moment == "not placed":
        scene.add_guest()
        backups[moment] = scene.api.store.backup()
    scene.hosts["a"].hears = True
    operator = await scene.operator()
    if moment != "not placed":
        scene.add_guest()
    await scene.until_ready()
    backups["bound"] = scene.api.store.backup()
    if moment == "leaving":
        scene.hosts["a"].hears = False
    scene.delete_guest()
    if moment == "leaving":
        backups["leaving"] = scene.api.store.backup()
        scene.hosts["a"].hears = True
        scene.hosts["a"].look()
    await scene.until_gone()
    await operator.sweeper.sweep()  # its address has rested
    scene.add_guest(number=2, spec=OTHER)
    await scene.until_ready()
    return backups[moment]


@pytest.mark.parametrize("moment", ["bound", "leaving", "not placed"])
async def test_it_is_back_as_it_runs(scene: GuestScene, moment: str) -> None:
    backup = await replaced(scene, moment=moment)
    outcome = await put_back(scene, backup)
    assert outcome.failures == []
    after = await scene.until_ready()
    assert after.metadata.annotations["innkeeper.dev/id"] == guest_id(2)
    assert after.spec.interfaces[0].name == "eth1"
    assert [each.address for each in after.status.addresses] == ["10.7.0.5"]
    [held] = scene.addresses()
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id(2)
    await settled(lambda: len(scene.api.calls))
    assert running(scene) == {guest_id(2): ["a"]}
    assert [each.metadata.name for each in scene.assignments()] == [guest_id(2)]
    assert scene.hosts["a"].destroyed == [guest_id()]
    scene.api.calls.clear()
    assert not (await hear(scene)).made
    assert scene.api.writes(user="healer") == []


async def test_nothing_of_the_earlier_one_is_left(scene: GuestScene) -> None:
    scene.furnish_user_data()
    await scene.operator()
    scene.add_guest(spec={"userData": {"secretName": "mine"}})
    await scene.until_ready()
    backup = scene.api.store.backup()
    scene.delete_guest()
    await scene.until_gone()
    await sweep(scene.operators[0])
    scene.add_guest(number=2)
    await scene.until_ready()
    await put_back(scene, backup)
    await scene.until_ready()
    assert scene.api.objects(SECRETS, namespace="host-a") == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_killed_at_any_write_the_next_hearing_completes_it(
    scene: GuestScene, nth: int, moment: str
) -> None:
    await restore(scene, await replaced(scene))
    kill = Kill(nth, moment)
    scene.on_write = kill
    await kill.ends(hear(scene, user=KILLED))
    outcome = await hear(scene)
    assert outcome.failures == []
    await scene.operator()
    assert (await scene.until_ready()).metadata.annotations["innkeeper.dev/id"] == guest_id(2)
    await eventually(lambda: [each.metadata.name for each in scene.assignments()] == [guest_id(2)])
    [held] = scene.addresses()
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id(2)


async def test_the_number_of_writes_is_what_is_counted_above(scene: GuestScene) -> None:
    await restore(scene, await replaced(scene))
    scene.api.calls.clear()
    await hear(scene)
    assert len(scene.api.writes(user="healer")) == WRITES


@pytest.mark.parametrize("way", ["refused by the API server", "no order to destroy the earlier one is shown"])
async def test_where_it_cannot_be_back_its_address_is_given_to_nobody(scene: GuestScene, way: str) -> None:
    backup = await replaced(scene)
    if way == "refused by the API server":
        scene.api.faults.fail("create guests", status=403, times=2)
    else:
        host = scene.hosts["a"]
        host.tombstones[guest_id()] = replace(host.tombstones[guest_id()], order=None)
    outcome = await put_back(scene, backup)
    assert [each.kind for each in outcome.failures] == [FindingKind.NOT_REVIVED]
    assert outcome.is_complete, "its address is held, so others may be decided"
    [operator] = scene.operators
    scene.add_guest("db", number=3)
    await scene.until_reason("PoolExhausted", "db")
    await sweep(operator)
    await settled(lambda: len(scene.api.calls))
    [held] = scene.addresses()
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id(2)
    assert running(scene) == {guest_id(2): ["a"]}


async def test_once_a_person_deleted_the_earlier_one_it_is_adopted_with_its_address(
    scene: GuestScene,
) -> None:
    backup = await replaced(scene)
    host = scene.hosts["a"]
    host.tombstones[guest_id()] = replace(host.tombstones[guest_id()], order=None)
    await put_back(scene, backup)
    [operator] = scene.operators
    await scene.until_reason("DestroyedSince")
    scene.delete_guest()
    await scene.until_gone()
    scene.remember("a", operator)
    operator.orphans.ask = lambda host: scene.remember(host, operator)
    for _ in range(SIGHTINGS + 1):
        await operator.orphans.look()
    [orphan] = operator.orphans.all()
    await operator.word.adopt(orphan)
    after = await scene.until_ready()
    assert [each.address for each in after.status.addresses] == ["10.7.0.5"]
    assert running(scene) == {guest_id(2): ["a"]}
    scene.delete_guest()
    await scene.until_gone()
    assert scene.addresses() == []
