"""Claims that nobody stands behind go, after several looks at a fresh view; all others stay."""

import msgspec
import pytest

from innkeeper.domain import names
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, HOSTS, IP_ADDRESSES, IP_POOLS
from innkeeper.workers.sweeper import SIGHTINGS, Finding
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled


async def swept(scene: GuestScene, times: int) -> None:
    for _ in range(times):
        await scene.operators[0].sweeper.sweep()


async def claimed(scene: GuestScene, last: int, owner: str) -> None:
    scene.api.create(IP_ADDRESSES, objects.address(last, owner=owner))
    await eventually(lambda: f"default.10.7.0.{last}" in scene.operators[0].subset.claims.by_name)


async def test_a_claim_of_no_guest_is_released_after_three_looks(scene: GuestScene) -> None:
    await claimed(scene, 4, "nobody")
    await swept(scene, 2)
    assert len(scene.addresses()) == 1
    await swept(scene, 1)
    assert scene.addresses() == []
    assert len(scene.addresses(held=False)) == 1
    assert scene.operators[0].found == [Finding.CLAIM_WITHOUT_GUEST]


async def test_a_second_claim_of_a_bound_guest_is_released_and_the_bound_one_stays(
    scene: GuestScene,
) -> None:
    scene.add_guest()
    found = await scene.until_ready()
    bound = found.status.addresses[0].address
    other = next(last for last in range(2, 7) if f"10.7.0.{last}" != bound)
    await claimed(scene, other, guest_id())
    await swept(scene, 4)
    assert [each.spec.address for each in scene.addresses()] == [bound]


async def test_an_address_that_rests_while_a_bound_guest_uses_it_is_its_own_again(
    scene: GuestScene,
) -> None:
    scene.add_guest()
    name = f"default.{(await scene.until_ready()).status.addresses[0].address}"
    at_rest = {"owner": None, "releasedAt": "2020-01-01T00:00:00Z"}
    labels = {names.GUEST_ID_LABEL: None}
    scene.api.patch(IP_ADDRESSES, name, {"metadata": {"labels": labels}, "spec": at_rest})
    await eventually(lambda: scene.operators[0].subset.claims.by_name[name].spec.owner is None)
    await swept(scene, SIGHTINGS - 1)
    assert [each.metadata.name for each in scene.addresses(held=False)] == [name]
    await swept(scene, 1)
    assert [each.metadata.name for each in scene.addresses()] == [name]
    assert scene.operators[0].found == [Finding.GUEST_WITHOUT_CLAIM]


async def test_a_quarantine_longer_than_the_calendar_is_one_without_an_end(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"quarantine": "99999999h"}})
    scene.add_guest()
    name = f"default.{(await scene.until_ready()).status.addresses[0].address}"
    scene.api.delete(GUESTS, "web", namespace="default")
    await eventually(lambda: scene.operators[0].subset.claims.by_name[name].spec.owner is None)
    await swept(scene, 1)
    assert [each.metadata.name for each in scene.addresses(held=False)] == [name]


async def test_a_claim_of_a_guest_that_is_not_bound_stays(scene: GuestScene) -> None:
    scene.patch_status(HOSTS, "a", {"conditions": [objects.ready("False", "AgentNotReady")]})
    seen = scene.operators[0].subset.hosts
    await eventually(lambda: seen["a"].status.conditions[0].reason == "AgentNotReady")
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    await claimed(scene, 4, guest_id())
    await swept(scene, 5)
    assert len(scene.addresses()) == 1


async def test_half_of_what_a_guest_asked_for_stays_its_own_while_it_waits_for_the_rest(
    scene: GuestScene,
) -> None:
    """Nobody can tell it from the claim of a guest that is being bound with it: its address would be another's too."""
    await claimed(scene, 4, guest_id())
    interface = {"name": "eth0", "addresses": [{"pool": "lab"}, {"pool": "six"}]}
    scene.add_guest(spec={"interfaces": [interface]})
    await scene.until_reason("PoolNotFound")
    await swept(scene, 4)
    assert [each["spec"]["owner"]["name"] for each in scene.api.objects(IP_ADDRESSES)] == ["web"]
    assert scene.operators[0].found == []
    six = {"gateway": None, "dns": [], "ranges": [], "order": "Lowest"}
    scene.api.create(IP_POOLS, objects.pool("six", cidr="fd00::/64", **six))
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.4", "fd00::1"]


async def test_an_old_view_releases_nothing_and_sightings_begin_anew(scene: GuestScene) -> None:
    await claimed(scene, 4, "nobody")
    await swept(scene, 2)
    sweeper = scene.operators[0].sweeper
    sweeper._fresh = lambda: False
    await swept(scene, 5)
    assert len(scene.addresses()) == 1
    sweeper._fresh = lambda: True
    await swept(scene, 2)
    assert len(scene.addresses()) == 1
    await swept(scene, 1)
    assert scene.addresses() == []


@pytest.mark.parametrize("deleted_by_hand", [False, True])
async def test_quarantine_ends_and_the_object_goes(scene: GuestScene, *, deleted_by_hand: bool) -> None:
    made = objects.address(4, owner=None, released_at="2020-01-01T00:00:00Z")
    scene.api.create(IP_ADDRESSES, made)
    if deleted_by_hand:
        scene.api.delete(IP_ADDRESSES, made["metadata"]["name"])
        assert len(scene.addresses(held=False)) == 1, "its finalizer keeps it"
    await scene.seen()
    await swept(scene, 1)
    await eventually(lambda: not scene.addresses(held=False))


async def test_an_address_that_is_deleted_by_hand_stays_while_it_is_held(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    [held] = scene.addresses()
    scene.api.delete(IP_ADDRESSES, held.metadata.name)
    await swept(scene, 5)
    assert len(scene.addresses()) == 1
    scene.delete_guest()
    await scene.until_gone()
    assert len(scene.addresses(held=False)) == 1


async def test_an_address_that_was_released_by_a_clock_that_was_ahead_rests_no_longer_than_others(
    frozen_scene: GuestScene,
) -> None:
    scene = frozen_scene
    scene.api.create(IP_ADDRESSES, objects.address(4, owner=None, released_at="2099-01-01T00:00:00Z"))
    claims, clock = scene.operators[0].subset.claims, scene.clock
    assert isinstance(clock, ManualClock)
    await eventually(lambda: len(claims.by_name))
    await swept(scene, 1)
    clock.advance(290)
    await swept(scene, 1)
    assert len(await settled(lambda: scene.addresses(held=False))) == 1
    clock.advance(11)
    await swept(scene, 1)
    await eventually(lambda: not scene.addresses(held=False))


async def kept_for_a_host(scene: GuestScene) -> ManualClock:
    """Have an operator know a claim, of a guest without any object, that is kept for the host `a`."""
    mark = {names.HELD_BY_HOST_ANNOTATION: "a"}
    scene.api.create(IP_ADDRESSES, objects.address(4, owner=guest_id(), annotations=mark))
    await eventually(lambda: scene.operators[0].subset.claims.by_name)
    assert isinstance(scene.clock, ManualClock)
    return scene.clock


async def test_what_is_kept_for_a_host_goes_once_the_host_was_asked_since_and_has_no_such_guest(
    frozen_scene: GuestScene,
) -> None:
    """As after it was installed anew: nobody else would ever release it."""
    scene = frozen_scene
    clock = await kept_for_a_host(scene)
    await swept(scene, SIGHTINGS + 1)
    assert len(scene.addresses()) == 1, "the host was not asked"
    clock.advance(1)
    scene.remember("a", scene.operators[0])
    await swept(scene, SIGHTINGS - 1)
    assert len(scene.addresses()) == 1
    await swept(scene, 1)
    assert scene.addresses() == []
    [resting] = scene.addresses(held=False)
    assert names.HELD_BY_HOST_ANNOTATION not in resting.metadata.annotations


async def test_what_is_kept_for_a_host_stays_while_what_is_known_of_it_is_older(
    frozen_scene: GuestScene,
) -> None:
    scene = frozen_scene
    operator = scene.operators[0]
    scene.remember("a", operator)
    clock = await kept_for_a_host(scene)
    clock.advance(1)
    await swept(scene, SIGHTINGS + 1)
    clock.advance(1)
    scene.add_host("b", store_id="store-b")
    scene.remember("b", operator)
    await swept(scene, SIGHTINGS + 1)
    assert len(scene.addresses()) == 1, "another host's word says nothing of this one"


@pytest.mark.parametrize("by", ["its record", "its Assignment"])
async def test_what_is_kept_for_a_host_stays_while_the_host_has_the_guest(
    frozen_scene: GuestScene, by: str
) -> None:
    scene = frozen_scene
    operator = scene.operators[0]
    scene.add_guest()
    await scene.until_ready()
    [held] = scene.addresses()
    mark = {"metadata": {"annotations": {names.HELD_BY_HOST_ANNOTATION: "a"}}}
    scene.api.patch(IP_ADDRESSES, held.metadata.name, mark)
    scene.strip_guest()
    await eventually(lambda: not operator.subset.guests)
    if by == "its record":
        scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
        await eventually(lambda: not operator.subset.assignments)
    else:
        scene.hosts["a"].records.clear()
    await swept(scene, 1)
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(1)
    scene.remember("a", operator)
    await swept(scene, SIGHTINGS + 1)
    assert len(scene.addresses()) == 1


async def test_what_is_kept_for_a_host_stays_while_it_has_the_guest_by_an_order_that_is_not_ours(
    frozen_scene: GuestScene,
) -> None:
    """Signed by a key that is out of use: the guest runs on, and uses its address."""
    scene = frozen_scene
    operator = scene.operators[0]
    clock = await kept_for_a_host(scene)
    await swept(scene, 1)
    clock.advance(1)
    scene.remember("a", operator)
    record = operator.records.of("a")
    assert record is not None
    record.foreign.add(guest_id())
    await swept(scene, SIGHTINGS + 1)
    assert len(scene.addresses()) == 1


async def test_objects_that_make_no_sense_keep_no_other_from_being_set_right(scene: GuestScene) -> None:
    """A release at no time, and a bound address that is none: each look counts them and goes on."""
    scene.add_guest()
    (bound,) = (await scene.until_ready()).status.addresses
    odd = {**msgspec.to_builtins(bound), "address": "none"}
    scene.patch_status(GUESTS, "web", {"addresses": [odd]}, namespace="default")
    one, other = [last for last in range(2, 7) if f"10.7.0.{last}" != bound.address][:2]
    scene.api.create(IP_ADDRESSES, objects.address(one, owner=None, released_at="yesterday"))
    scene.api.create(IP_ADDRESSES, objects.address(other, owner=None, released_at="2020-01-01T00:00:00Z"))
    await scene.seen()
    await swept(scene, 1)
    assert scene.operators[0].found == [Finding.NOT_UNDERSTOOD] * 2
    await eventually(lambda: f"default.10.7.0.{other}" not in scene.operators[0].subset.claims.by_name)
