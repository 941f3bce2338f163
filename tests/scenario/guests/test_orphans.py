"""Guests whose object was lost: found after several looks, told of, adopted without a restart, or removed on a word."""

import msgspec
import pytest

from innkeeper.agent.store.records import Tombstone
from innkeeper.domain import names
from innkeeper.domain.lifecycle.revival import NotRevivableError
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrphanPolicy
from innkeeper.kube.resources import ASSIGNMENTS, EVENTS, GUESTS, HOSTS, IP_ADDRESSES
from innkeeper.state.host_records import Cursor, HostRecord
from innkeeper.workers.orphans.finding import SIGHTINGS, Orphan, OrphanState
from innkeeper.workers.orphans.keeper import AGAIN_S, OrphanKeeper
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene, Operator
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled


async def orphaned(scene: GuestScene) -> Orphan:
    """Build a guest, lose its object, and look as often as it takes."""
    scene.add_guest(labels={"app": "web"})
    await scene.until_ready()
    scene.strip_guest()
    return await found(scene.operators[0])


async def stripped(scene: GuestScene) -> None:
    """Lose a guest's object, and wait until it is known: while it counts, an order that is lost too is made again."""
    scene.strip_guest()
    await eventually(lambda: guest_id() not in scene.operators[0].subset.guest_keys)


async def look(operator: Operator) -> None:
    for _ in range(SIGHTINGS):
        await operator.orphans.look()


async def found(operator: Operator) -> Orphan:
    await eventually(lambda: guest_id() not in operator.subset.guest_keys)
    await look(operator)
    [orphan] = operator.orphans.all()
    return orphan


async def test_it_counts_after_several_looks_at_a_fresh_view(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    operator = scene.operators[0]
    scene.strip_guest()
    await eventually(lambda: not operator.subset.guests)
    for _ in range(SIGHTINGS - 1):
        await operator.orphans.look()
        assert operator.orphans.all() == []
    operator.orphans._fresh = lambda: False
    await operator.orphans.look()
    operator.orphans._fresh = lambda: True
    await operator.orphans.look()
    assert operator.orphans.all() == []
    assert not operator.orphans.is_known
    for _ in range(SIGHTINGS - 1):
        await operator.orphans.look()
    [orphan] = operator.orphans.all()
    assert (orphan.guest_id, orphan.host, orphan.namespace, orphan.name) == (
        guest_id(),
        "a",
        NAMESPACE,
        "web",
    )
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].destroyed == []
    assert len(scene.addresses()) == 1


async def test_guests_with_an_object_or_on_their_way_out_are_none(scene: GuestScene) -> None:
    operator = scene.operators[0]
    scene.add_guest()
    await scene.until_ready()
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    await look(operator)
    assert operator.orphans.all() == []
    scene.patch_guest({"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "host burnt"}}})
    scene.delete_guest()
    await eventually(lambda: scene.guest() is None)
    await eventually(lambda: not operator.subset.guests)
    await look(operator)
    assert operator.orphans.all() == [], "an order to destroy it stands already"


async def test_adopted_it_runs_on_with_its_address_and_its_labels(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    [held] = scene.addresses()
    operator = scene.operators[0]
    await operator.word.adopt(orphan)
    guest = await scene.until_ready()
    assert guest.metadata.annotations[names.ID_ANNOTATION] == guest_id()
    assert guest.metadata.labels == {"app": "web"}
    assert (guest.status.id, guest.status.host, guest.status.cluster) == (guest_id(), "a", "lab")
    assert [each.address for each in guest.status.addresses] == [held.spec.address]
    assert [each.spec.address for each in scene.addresses()] == [held.spec.address]
    assert scene.hosts["a"].destroyed == []
    assert list(scene.hosts["a"].running) == [guest_id()]
    assert operator.orphans.all() == []
    scene.delete_guest()
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()], "it is a guest like any other again"
    await eventually(lambda: not scene.addresses())


async def test_from_the_hosts_word_alone(scene: GuestScene) -> None:
    """No Assignment, no claim: all that is left is what the host holds."""
    scene.add_guest()
    bound = await scene.until_ready()
    operator = scene.operators[0]
    scene.remember("a", operator)
    await stripped(scene)
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    for held in scene.addresses():
        scene.api.patch(IP_ADDRESSES, held.metadata.name, {"metadata": {"finalizers": None}})
        scene.api.delete(IP_ADDRESSES, held.metadata.name)
    await eventually(lambda: not operator.subset.assignments)
    await eventually(lambda: not list(operator.subset.claims))
    operator.orphans.ask = lambda host: scene.remember(host, operator)
    await operator.word.adopt(await found(operator))
    guest = await scene.until_ready()
    assert guest.status.addresses == bound.status.addresses
    assert [each.spec.owner.id for each in scene.addresses() if each.spec.owner] == [guest_id()]
    assert scene.hosts["a"].destroyed == []


async def test_what_a_host_told_before_it_destroyed_a_guest_makes_no_orphan(scene: GuestScene) -> None:
    """Its object and its Assignment go in order; what the host was asked for is older than that."""
    scene.add_guest()
    await scene.until_ready()
    operator = scene.operators[0]
    scene.remember("a", operator)
    scene.delete_guest()
    await scene.until_gone()
    await eventually(lambda: not operator.subset.guests and not operator.subset.assignments)
    asked: list[str] = []
    operator.orphans.ask = asked.append
    await look(operator)
    await look(operator)
    assert operator.orphans.all() == []
    assert set(asked) == {"a"}, "the host is asked whether it still is so"
    scene.remember("a", operator)
    await look(operator)
    assert operator.orphans.all() == []


async def test_an_address_that_somebody_else_holds_stops_it_before_the_binding(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    [held] = scene.addresses()
    other = {"spec": {"owner": {"id": "other", "namespace": "else", "name": "thief", "interface": "eth0"}}}
    scene.api.patch(IP_ADDRESSES, held.metadata.name, other)
    await scene.operators[0].word.adopt(orphan)

    def is_told() -> bool:
        scheduled = scene.condition("Scheduled")
        assert scheduled is not None
        assert scheduled.reason == "RevivalFailed"
        assert "is held by a guest of another namespace" in scheduled.message
        assert f"kubectl get ipaddresses.innkeeper.dev {held.metadata.name} " in scheduled.message
        return True

    await eventually(is_told)
    guest = scene.guest()
    assert guest is not None
    assert guest.status.host is None
    assert scene.hosts["a"].destroyed == []


async def test_a_guest_of_its_name_is_not_taken_for_it(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    scene.add_guest(number=2)
    await scene.until_ready()
    with pytest.raises(NotRevivableError, match="is another one"):
        await scene.operators[0].word.adopt(orphan)
    assert sorted(scene.hosts["a"].running) == [guest_id(1), guest_id(2)]


async def test_removed_on_a_word_it_is_destroyed_and_leaves_nothing(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    await scene.operators[0].word.remove(orphan)
    await eventually(lambda: not scene.assignments())
    assert scene.hosts["a"].destroyed == [guest_id()]
    await eventually(lambda: not scene.addresses())
    assert len(scene.addresses(held=False)) == 1


async def test_a_word_for_another_order_than_the_standing_one_destroys_nothing(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    word = {"metadata": {"annotations": {names.REMOVE_ORPHAN_ANNOTATION: "1.7"}}}
    scene.api.patch(ASSIGNMENTS, guest_id(), word, namespace="host-a")
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].destroyed == []
    assert scene.operators[0].orphans.state_of(orphan) is OrphanState.HELD


async def test_a_word_does_not_outlast_an_adoption(scene: GuestScene) -> None:
    """Somebody asks for its end while somebody else adopts it; it must not fire when the object is lost again."""
    operator = scene.operators[0]
    await operator.word.adopt(await orphaned(scene))
    await scene.until_ready()
    [standing] = scene.assignments()
    word = {names.REMOVE_ORPHAN_ANNOTATION: f"{standing.spec.epoch}.{standing.spec.serial}"}
    scene.api.patch(ASSIGNMENTS, guest_id(), {"metadata": {"annotations": word}}, namespace="host-a")
    await eventually(lambda: not scene.assignments()[0].metadata.annotations)
    scene.strip_guest()
    await found(operator)
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].destroyed == []


async def test_a_silent_host_is_told_when_it_is_heard_again(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    operator = scene.operators[0]
    scene.hear_host("a", heard=False)
    await operator.word.remove(orphan)
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].destroyed == []
    scene.hear_host("a", heard=True)
    await eventually(lambda: scene.hosts["a"].destroyed == [guest_id()])
    await eventually(lambda: not scene.assignments())


async def test_adopted_and_deleted_at_once_it_is_destroyed_and_not_forgotten(scene: GuestScene) -> None:
    """Its object goes before it was ever bound: the host still holds the guest."""
    orphan = await orphaned(scene)
    await scene.operators.pop().kill()
    body = {
        "metadata": {
            "name": "web",
            "annotations": {names.ID_ANNOTATION: orphan.guest_id, names.REVIVED_FROM_ANNOTATION: "a"},
            "finalizers": [names.GUEST_FINALIZER],
        },
        "spec": objects.guest()["spec"],
    }
    scene.api.create(GUESTS, body, namespace=NAMESPACE)
    scene.delete_guest()
    await scene.operator()
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]


async def test_a_tombstone_elsewhere_keeps_it_from_coming_back(scene: GuestScene) -> None:
    orphan = await orphaned(scene)
    operator = scene.operators[0]
    operator.records.replace("b", HostRecord(Cursor("store-b", 1), 0.0, {}, {guest_id(): Rank(9, 1)}))
    assert operator.orphans.state_of(orphan) is OrphanState.SUPERSEDED
    with pytest.raises(NotRevivableError, match="lives or was destroyed elsewhere"):
        await operator.word.adopt(orphan)


async def adopt_by_policy(scene: GuestScene, operator: Operator) -> None:
    """Look once as a keeper does that adopts what it may."""
    keeper = OrphanKeeper(
        operator.client,
        operator.subset,
        orphans=operator.orphans,
        policy=OrphanPolicy.ADOPT,
        clock=scene.clock,
    )
    await keeper.look()


async def moved_and_orphaned(scene: GuestScene, present: str, *, by_assignment: bool) -> Operator:
    """Build a guest on `a`, move it, and lose its object; known by Assignments, or by hosts' word alone."""
    scene.add_guest()
    await scene.until_ready()
    scene.add_host(present, store_id="store-2")
    scene.patch_status(GUESTS, "web", {"host": present, "epoch": 2}, namespace=NAMESPACE)
    await eventually(lambda: scene.hosts[present].running)
    await eventually(lambda: not scene.hosts["a"].running)
    operator = scene.operators[0]
    await stripped(scene)
    if not by_assignment:
        for host in scene.hosts:
            scene.remember(host, operator)
            scene.api.delete(ASSIGNMENTS, guest_id(), namespace=f"host-{host}")
        operator.orphans.ask = lambda host: scene.remember(host, operator)
        await eventually(lambda: not operator.subset.assignments)
    await look(operator)
    return operator


@pytest.mark.parametrize("by_assignment", [True, False])
@pytest.mark.parametrize("present", ["b", "0"])  # after `a` by name, and before it
async def test_one_that_moved_is_adopted_where_it_lives_and_its_left_disk_is_told_of(
    scene: GuestScene, present: str, *, by_assignment: bool
) -> None:
    operator = await moved_and_orphaned(scene, present, by_assignment=by_assignment)
    first, left = operator.orphans.find(NAMESPACE, guest_id())
    assert (first.host, operator.orphans.state_of(first)) == (present, OrphanState.HELD)
    assert (left.host, operator.orphans.state_of(left)) == ("a", OrphanState.SUPERSEDED)
    with pytest.raises(NotRevivableError, match="on host a is Superseded"):
        await operator.word.adopt(left)
    await adopt_by_policy(scene, operator)
    assert (await scene.until_ready()).status.host == present
    told = {
        each["involvedObject"]["name"]: each["message"]
        for each in scene.api.objects(EVENTS, namespace="default")
    }
    assert "kubectl guest adopt" in told[present]
    assert "the disk of the guest default/web is kept here" in told["a"]
    assert "adopt" not in told["a"]
    assert [each.spec.owner.id for each in scene.addresses() if each.spec.owner] == [guest_id()]
    assert [host.destroyed for host in scene.hosts.values()] == [[], []]
    assert not scene.hosts["a"].running


async def test_the_policy_leaves_one_alone_that_some_host_knows_to_live_elsewhere_by_a_later_order(
    scene: GuestScene,
) -> None:
    """Where it lives, nobody knows: that host was not heard."""
    operator = await moved_and_orphaned(scene, "b", by_assignment=False)
    record = operator.records.of("a")
    assert record is not None
    record.guests[guest_id()] = msgspec.structs.replace(record.guests[guest_id()], rank=Rank(3, 1))
    operator.orphans.ask = lambda _: None
    await look(operator)
    await adopt_by_policy(scene, operator)
    assert scene.guest() is None


async def test_a_claim_of_a_guest_of_which_a_host_keeps_the_disk_alone_is_released(scene: GuestScene) -> None:
    operator = await moved_and_orphaned(scene, "b", by_assignment=False)
    operator.records.forget("b")
    for _ in range(4):
        await operator.sweeper.sweep()
    assert scene.addresses() == []


async def removed_where_its_disk_was_left(scene: GuestScene, operator: Operator) -> None:
    """Have the disk be removed while nobody hears where the guest lives, and the disk's host be asked once more."""
    operator.orphans._sightings.clear()
    operator.orphans.ask = lambda host: scene.remember(host, operator) if host == "a" else None
    await look(operator)
    [left] = operator.orphans.find(NAMESPACE, guest_id())
    assert operator.orphans.state_of(left) is OrphanState.SUPERSEDED
    await operator.word.remove(left)
    await eventually(lambda: scene.hosts["a"].destroyed == [guest_id()])
    await eventually(lambda: not scene.assignments())
    scene.remember("a", operator)


async def test_a_left_disk_that_is_removed_does_not_end_the_guest(scene: GuestScene) -> None:
    """Its host comes back after that; the guest runs there, and is brought back with its address."""
    operator = await moved_and_orphaned(scene, "b", by_assignment=False)
    operator.records.forget("b")
    await removed_where_its_disk_was_left(scene, operator)
    scene.remember("b", operator)
    operator.orphans.ask = lambda host: scene.remember(host, operator)
    await look(operator)
    [orphan] = operator.orphans.find(NAMESPACE, guest_id())
    assert (orphan.host, operator.orphans.state_of(orphan)) == ("b", OrphanState.HELD)
    await operator.word.adopt(orphan)
    assert (await scene.until_ready()).status.host == "b"
    assert [each.spec.owner.id for each in scene.addresses() if each.spec.owner] == [guest_id()]
    assert scene.hosts["b"].destroyed == []


async def test_a_left_disk_that_is_removed_frees_no_address_that_another_host_told_of(
    scene: GuestScene,
) -> None:
    """What that host told is old, so that it counts for no orphan until it is asked again."""
    operator = await moved_and_orphaned(scene, "b", by_assignment=False)
    await removed_where_its_disk_was_left(scene, operator)
    for _ in range(4):
        await operator.sweeper.sweep()
    assert [each.spec.owner.id for each in scene.addresses() if each.spec.owner] == [guest_id()]


@pytest.mark.parametrize("policy", list(OrphanPolicy))
async def test_the_policy_keeps_or_adopts_and_tells_once(scene: GuestScene, policy: OrphanPolicy) -> None:
    await orphaned(scene)
    operator = scene.operators[0]
    keeper = OrphanKeeper(
        operator.client, operator.subset, orphans=operator.orphans, policy=policy, clock=scene.clock
    )
    await keeper.look()
    [event] = scene.api.objects(EVENTS, namespace="default")
    assert event["involvedObject"]["name"] == "a"
    assert f"kubectl guest adopt {guest_id()} -n default" in event["message"]
    if policy is OrphanPolicy.ADOPT:
        await scene.until_ready()
    else:
        await keeper.look()
        await settled(lambda: len(scene.api.calls))
        assert scene.guest() is None
    assert scene.hosts["a"].destroyed == []


async def test_one_that_cannot_be_adopted_is_left_alone_for_a_while(frozen_scene: GuestScene) -> None:
    scene = frozen_scene
    scene.add_guest()
    await eventually(lambda: scene.hosts["a"].running)
    scene.strip_guest()
    operator = scene.operators[0]
    await found(operator)
    scene.add_guest(number=2)  # of the same name
    keeper = OrphanKeeper(
        operator.client,
        operator.subset,
        orphans=operator.orphans,
        policy=OrphanPolicy.ADOPT,
        clock=scene.clock,
    )
    await eventually(lambda: guest_id(2) in operator.subset.guest_keys)
    for _ in range(3):
        await keeper.look()
    assert len(scene.api.called("create guests")) == 1
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(AGAIN_S)
    await keeper.look()
    assert len(scene.api.called("create guests")) == 2


@pytest.mark.parametrize("first", ["forgotten", "stripped"])
async def test_one_that_is_forgotten_at_its_host_leaves_nothing(scene: GuestScene, first: str) -> None:
    """A person at the host took it off there: no order is left that keeps the Host, and its address is free."""
    scene.add_guest()
    await scene.until_ready()
    host = scene.hosts["a"]
    if first == "stripped":
        await stripped(scene)
    record = host.records.pop(guest_id())
    host.tombstones[guest_id()] = Tombstone(
        guest_id(), record.rank, None, record.namespace, record.name, "root"
    )
    host.look()
    if first == "forgotten":
        await eventually(lambda: scene.assignments()[0].status.outcome == "Destroyed")
        await settled(lambda: len(scene.api.calls))
        assert scene.assignments()
        await stripped(scene)
    await eventually(lambda: not scene.assignments())
    assert scene.addresses() == []


async def test_a_claim_of_a_guest_that_its_host_refused_is_released(scene: GuestScene) -> None:
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    operator = scene.operators[0]
    scene.remember("a", operator)
    scene.strip_guest()
    await eventually(lambda: not operator.subset.guests and not operator.subset.assignments)
    for _ in range(4):
        await operator.sweeper.sweep()
    assert scene.addresses() == []


async def test_a_claim_of_a_guest_that_only_a_host_knows_is_kept(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    operator = scene.operators[0]
    scene.remember("a", operator)
    await stripped(scene)
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    await eventually(lambda: not operator.subset.assignments)
    for _ in range(4):
        await operator.sweeper.sweep()
    assert len(scene.addresses()) == 1
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    await eventually(lambda: operator.subset.host_is_lost("a"))
    for _ in range(4):
        await operator.sweeper.sweep()
    assert scene.addresses() == []
