"""A guest that its host is to destroy and has not yet, in a store that was put back: it keeps what it uses till then."""

from collections.abc import AsyncIterator

import pytest

from innkeeper.domain import names
from innkeeper.domain.reasons import Desired
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.resources import IP_POOLS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled
from tests.scenario.rebuild.putting_back import furnished, hear, put_back, running, sweep

ONE_ADDRESS = {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}], "quarantine": "0s"}}
MOMENTS = ["before it was made", "before it was placed", "while it ran"]


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give a pool of one address, which no quarantine holds back."""
    async with furnished() as made:
        made.api.patch(IP_POOLS, "lab", ONE_ADDRESS)
        yield made


async def ending(scene: GuestScene, *, moment: str = "while it ran") -> object:
    """Have a guest be deleted whose host does not get to it; return a copy of the store from before."""
    backups = {"before it was made": scene.api.store.backup()}
    scene.add_guest()
    backups["before it was placed"] = scene.api.store.backup()
    await scene.operator()
    await scene.until_ready()
    backups["while it ran"] = scene.api.store.backup()
    scene.hosts["a"].destroys = False
    scene.delete_guest()
    await eventually(lambda: [each.spec.desired for each in scene.assignments()] == [Desired.DESTROYED])
    return backups[moment]


async def assert_kept(scene: GuestScene) -> None:
    """The address is its own, whatever time passes."""
    await sweep(scene.operators[0])
    await settled(lambda: len(scene.api.calls))
    [held] = scene.addresses()
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id()
    assert running(scene) == {guest_id(): ["a"]}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_its_address_is_given_to_nobody_until_it_is_destroyed(scene: GuestScene, moment: str) -> None:
    outcome = await put_back(scene, await ending(scene, moment=moment))
    assert FindingKind.ENDING in [each.kind for each in outcome.findings]
    assert outcome.failures == []
    scene.add_guest("db", number=2)
    await scene.until_reason("PoolExhausted", "db")
    await assert_kept(scene)
    assert [each.spec.desired for each in scene.assignments()] == [Desired.DESTROYED]

    scene.hosts["a"].destroys = True
    scene.hosts["a"].look()
    assert scene.hosts["a"].destroyed == [guest_id()]
    await eventually(lambda: not scene.addresses())
    await sweep(scene.operators[0])
    second = await scene.until_ready("db")
    assert [each.address for each in second.status.addresses] == ["10.7.0.5"]
    assert running(scene) == {guest_id(2): ["a"]}


@pytest.mark.parametrize("moment", MOMENTS[1:])
async def test_its_object_says_so_and_a_person_can_delete_it(scene: GuestScene, moment: str) -> None:
    await put_back(scene, await ending(scene, moment=moment))
    await scene.until_reason("DestroyedSince")
    scene.delete_guest()
    await settled(lambda: len(scene.api.calls))
    assert scene.guest() is not None, "its host has not answered"
    await assert_kept(scene)
    scene.hosts["a"].destroys = True
    scene.hosts["a"].look()
    await scene.until_gone()
    assert scene.addresses() == []


async def test_a_second_hearing_changes_nothing(scene: GuestScene) -> None:
    await put_back(scene, await ending(scene))
    await scene.until_reason("DestroyedSince")
    scene.api.calls.clear()
    assert not (await hear(scene)).missing
    assert scene.api.writes(user="healer") == []


async def test_one_that_was_made_anew_under_its_name_is_back_and_both_keep_their_addresses(
    scene: GuestScene,
) -> None:
    two = {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.6"}]}
    scene.api.patch(IP_POOLS, "lab", {"spec": two})
    scene.add_host("b", store_id="store-b", memory="2Gi")  # `a` has more room and is asked first
    backup = await ending(scene)
    scene.hear_host("a", heard=False)
    scene.patch_guest({"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "host burnt"}}})
    await eventually(lambda: scene.guest() is None)
    scene.add_guest(number=2)
    await scene.until_ready()
    scene.hosts["a"].hears = True
    assert running(scene) == {guest_id(): ["a"], guest_id(2): ["b"]}

    outcome = await put_back(scene, backup)
    assert outcome.failures == []
    after = await scene.until_ready()
    assert after.metadata.annotations[names.ID_ANNOTATION] == guest_id(2)
    await sweep(scene.operators[0])
    await settled(lambda: len(scene.api.calls))
    owners = {each.spec.owner.id for each in scene.addresses() if each.spec.owner}
    assert owners == {guest_id(), guest_id(2)}
    assert running(scene) == {guest_id(): ["a"], guest_id(2): ["b"]}

    scene.hosts["a"].destroys = True
    scene.hosts["a"].look()
    await eventually(lambda: [each.metadata.name for each in scene.assignments()] == [guest_id(2)])
    [held] = scene.addresses()
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id(2)
