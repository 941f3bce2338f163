"""A store that was put back to before somebody changed a guest: the guest goes on as it was ordered last.

The host holds that order, signed, and the Guest is brought to it. What somebody changed after the restore stays.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.domain import names
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.resources import ASSIGNMENTS, EVENTS, GUESTS, HOSTS
from innkeeper.workers.rebuild.rebuild import Outcome
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually, settled
from tests.scenario.rebuild.killing import KILLED, Kill
from tests.scenario.rebuild.putting_back import furnished, hear, put_back, restore

PROBE = {"tcp": {"port": 22}, "periodSeconds": 30}


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give what one guest needs; each test starts its operators."""
    async with furnished() as made:
        yield made


class Switched:
    """What a host was asked for, order by order, from now on."""

    def __init__(self, scene: GuestScene) -> None:
        self._scene = scene
        self.seen: set[str] = set()
        scene.on_write = self._look

    def _look(self, call: Call, moment: str) -> None:
        del call, moment
        self.seen |= {each.desired for host in self._scene.hosts.values() for each in host.running.values()}


def power(name: str) -> dict[str, Any]:
    """Return a change of a Guest's power."""
    return {"spec": {"power": name}}


def other(name: str) -> str:
    """Return the other power."""
    return "Stopped" if name == "Running" else "Running"


async def a_guest(scene: GuestScene, *, of_power: str, number: int | None = 1, **changes: Any) -> object:
    """Have a guest of a power, and return a copy of the store with it."""
    await scene.operator()
    scene.add_guest(number=number, spec={"power": of_power}, **changes)
    await scene.until_ready(reason=of_power)
    return scene.api.store.backup()


async def then(scene: GuestScene, change: dict[str, Any], *, reason: str) -> None:
    """Have somebody change the guest, and its host obey."""
    scene.patch_guest(change)
    await scene.until_ready(reason=reason)


def told(outcome: Outcome) -> list[FindingKind]:
    """Return the kinds of what was found."""
    return [each.kind for each in outcome.findings]


@pytest.mark.parametrize("number", [1, None])
@pytest.mark.parametrize("held", ["Running", "Stopped"])
async def test_its_power_stays_as_its_host_was_ordered_last(
    scene: GuestScene, held: str, number: int | None
) -> None:
    backup = await a_guest(scene, of_power=other(held), number=number)
    for each in (held, other(held), held):
        await then(scene, power(each), reason=each)
    switched = Switched(scene)
    outcome = await put_back(scene, backup)
    guest = await scene.until_ready(reason=held)
    assert guest.spec.power == held
    await settled(lambda: len(scene.api.calls))
    assert switched.seen == {held}, "it was never switched"
    assert told(outcome) == [FindingKind.CAUGHT_UP]
    [event] = [each for each in scene.api.objects(EVENTS) if each["reason"] == "CaughtUp"]
    assert f"power {held}" in event["message"]
    assert event["involvedObject"]["name"] == "web"


async def test_all_that_may_be_changed_in_a_guest_is_as_it_was_ordered_last(scene: GuestScene) -> None:
    backup = await a_guest(
        scene,
        of_power="Running",
        labels={"tier": "front", "old": "yes"},
        annotations={"note": "before", "old": "yes"},
    )
    change = {
        "spec": {"restartPolicy": "Never", "readinessProbe": PROBE},
        "metadata": {
            "labels": {"tier": "back", "old": None, "new": "yes"},
            "annotations": {"note": "after", "old": None, "new": "yes"},
        },
    }
    await then(scene, change, reason="Running")
    before = scene.guest()
    assert before is not None
    await put_back(scene, backup)
    after = await scene.until_ready()
    assert after.spec == before.spec
    assert after.metadata.labels == before.metadata.labels
    mark = {names.CAUGHT_UP_ANNOTATION: f"{before.metadata.uid}/1.2"}
    assert after.metadata.annotations == {**before.metadata.annotations, **mark}


async def test_a_probe_that_was_replaced_since_leaves_nothing_of_the_former_one(scene: GuestScene) -> None:
    await scene.operator()
    scene.add_guest(spec={"readinessProbe": PROBE})
    await scene.until_ready()
    backup = scene.api.store.backup()
    await then(scene, {"spec": {"readinessProbe": {"tcp": None, "ping": {}}}}, reason="Running")
    before = scene.guest()
    assert before is not None
    await put_back(scene, backup)
    assert (await scene.until_ready()).spec == before.spec


async def test_what_somebody_changed_after_the_restore_stays(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Running", labels={"tier": "front"})
    await then(
        scene, {**power("Stopped"), "metadata": {"labels": {"tier": "back", "new": "yes"}}}, reason="Stopped"
    )
    await then(scene, {"spec": {"power": "Running", "restartPolicy": "Never"}}, reason="Running")
    await restore(scene, backup)
    scene.patch_guest({**power("Stopped"), "metadata": {"labels": {"tier": "none"}}})
    outcome = await hear(scene)
    await scene.operator()
    after = await scene.until_ready(reason="Stopped")
    assert after.metadata.labels == {"tier": "none", "new": "yes"}, "the other label is the host's"
    assert after.spec.restart_policy == "Never", "and so is what nobody changed since"
    assert sorted(told(outcome)) == [FindingKind.CAUGHT_UP, FindingKind.CHANGED_SINCE]


async def test_what_somebody_changes_while_it_is_written_stays(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)

    def meanwhile(call: Call, moment: str) -> None:
        if call.is_write and moment == "before":
            scene.on_write = lambda _call, _moment: None
            scene.patch_guest({"metadata": {"labels": {"tier": "mine"}}})

    scene.on_write = meanwhile
    await hear(scene)
    await scene.operator()
    after = await scene.until_ready()
    assert after.metadata.labels == {"tier": "mine"}
    assert after.spec.power == "Running"


async def test_who_disagrees_with_what_was_taken_from_the_host_applies_again(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)
    await hear(scene)
    scene.patch_guest(power("Stopped"))
    outcome = await hear(scene)  # whoever heard the hosts was ended before it could lead
    assert outcome.missing == {}
    await scene.operator()
    assert (await scene.until_ready(reason="Stopped")).spec.power == "Stopped"


async def test_a_guest_that_was_not_placed_yet_follows_its_host_and_its_user(scene: GuestScene) -> None:
    scene.add_guest(number=None, spec={"power": "Stopped"})
    backup = scene.api.store.backup()
    await scene.operator()
    await scene.until_ready(reason="Stopped")
    for each in ("Running", "Stopped", "Running"):
        await then(scene, power(each), reason=each)
    switched = Switched(scene)
    await put_back(scene, backup)
    assert (await scene.until_ready()).spec.power == "Running"
    assert switched.seen == {"Running"}
    await then(scene, power("Stopped"), reason="Stopped")


async def test_a_guest_that_was_not_placed_yet_and_that_somebody_changed_since_stays_so(
    scene: GuestScene,
) -> None:
    scene.add_guest(number=None)
    backup = scene.api.store.backup()
    await scene.operator()
    await scene.until_ready()
    await then(scene, {"spec": {"restartPolicy": "Never"}}, reason="Running")
    await restore(scene, backup)
    scene.patch_guest(power("Stopped"))
    outcome = await hear(scene)
    assert FindingKind.CHANGED_SINCE in told(outcome)
    await scene.operator()
    assert (await scene.until_ready(reason="Stopped")).spec.power == "Stopped"


async def test_labels_of_a_guest_that_was_not_placed_yet_are_not_overwritten(scene: GuestScene) -> None:
    scene.add_guest(number=None, labels={"tier": "front"}, annotations={"note": "before"})
    backup = scene.api.store.backup()
    await scene.operator()
    await scene.until_ready()
    await then(scene, {"metadata": {"labels": {"new": "yes"}}, **power("Stopped")}, reason="Stopped")
    await restore(scene, backup)
    scene.patch_guest({"metadata": {"labels": {"tier": "back"}, "annotations": {"note": "after"}}})
    outcome = await hear(scene)
    [finding] = [each for each in outcome.findings if each.kind is FindingKind.CHANGED_SINCE]
    assert "label tier, annotation note stays" in finding.message
    await scene.operator()
    after = await scene.until_ready(reason="Stopped")
    assert after.metadata.labels == {"tier": "back", "new": "yes"}
    assert after.metadata.annotations["note"] == "after"


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_guest_that_went_to_another_host_since_follows_its_user(
    scene: GuestScene, *, is_heard: bool
) -> None:
    scene.add_host("b", unschedulable=True)
    await scene.operator()
    scene.hosts["a"].hears = False
    scene.add_guest(number=None)
    await eventually(scene.assignments)
    await settled(lambda: len(scene.api.calls))
    backup = scene.api.store.backup()  # bound to a host that is about to refuse it
    scene.api.patch(HOSTS, "b", {"spec": {"unschedulable": False}})
    scene.hosts["a"].refuses, scene.hosts["a"].hears = "InsufficientCapacity", True
    scene.hosts["a"].look()
    await scene.until_ready()
    for each in ("Stopped", "Running"):
        await then(scene, power(each), reason=each)
    await restore(scene, backup)
    if is_heard:
        assert (await hear(scene)).is_complete
        await scene.operator()
        assert (await scene.until_ready()).status.host == "b"
    scene.patch_guest(power("Stopped"))
    if not is_heard:
        assert FindingKind.CHANGED_SINCE in told(await hear(scene))
        await scene.operator()
    assert (await scene.until_ready(reason="Stopped")).status.host == "b"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])  # the Guest, its Event, the Cluster
async def test_ended_at_any_write_the_next_run_completes_it(scene: GuestScene, nth: int, moment: str) -> None:
    backup = await a_guest(scene, of_power="Stopped", number=None)
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)
    switched = Switched(scene)
    kill = Kill(nth, moment)

    def wrote(call: Call, when: str) -> None:
        kill(call, when)
        scene._wrote(call, when)

    scene.api.on_write = wrote
    await kill.ends(hear(scene, user=KILLED))
    await hear(scene)
    await scene.operator()
    assert (await scene.until_ready()).spec.power == "Running"
    assert switched.seen == {"Running"}


async def test_two_at_once_bring_it_there_once(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)
    await asyncio.gather(hear(scene, user="first"), hear(scene, user="second"))
    changes = [each for each in scene.api.writes() if each.user in ("first", "second")]
    assert [each for each in changes if each.resource == EVENTS.plural][1:] == []
    await asyncio.gather(scene.operator(), scene.operator())
    assert (await scene.until_ready()).spec.power == "Running"


@pytest.mark.parametrize("status", [403, 422])
async def test_a_guest_whose_power_cannot_be_set_lets_nobody_lead(scene: GuestScene, status: int) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)
    scene.api.faults.fail("patch guests", status=status)
    outcome = await hear(scene)
    assert not outcome.is_complete
    [finding] = outcome.failures
    assert finding.kind == FindingKind.NOT_CAUGHT_UP
    assert "Set its spec.power to Running yourself, and change it once an operator leads" in finding.message
    scene.patch_guest(power("Running"))
    assert (await hear(scene)).is_complete
    await scene.operator()
    await scene.until_ready()
    await then(scene, power("Stopped"), reason="Stopped")  # who wants what the copy said has it so


async def test_labels_that_cannot_be_set_hold_nothing_up(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Running")
    scene.patch_guest({"metadata": {"labels": {"tier": "back"}}})
    await eventually(lambda: [each.spec.serial for each in scene.assignments()] == [2])
    await restore(scene, backup)
    scene.api.faults.fail("patch guests", status=422)
    outcome = await hear(scene)
    assert outcome.is_complete
    assert [each.kind for each in outcome.failures] == [FindingKind.NOT_MADE]


async def test_nothing_is_changed_where_the_copy_holds_the_last_order(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Running")
    await restore(scene, backup)
    scene.patch_guest(power("Stopped"))
    outcome = await hear(scene)
    assert outcome.findings == []
    assert [each for each in scene.api.writes(user="healer") if each.resource == GUESTS.plural] == []


async def test_an_assignment_that_somebody_deleted_lets_no_host_undo_a_change(scene: GuestScene) -> None:
    await a_guest(scene, of_power="Running", number=None)
    await then(scene, {"spec": {"restartPolicy": "Never"}}, reason="Running")
    await scene.operators[0].kill()
    scene.operators.clear()
    [assignment] = scene.assignments()
    scene.api.delete(ASSIGNMENTS, assignment.metadata.name, namespace=assignment.metadata.namespace)
    scene.patch_guest(power("Stopped"))
    await hear(scene)
    await scene.operator()
    assert (await scene.until_ready(reason="Stopped")).spec.power == "Stopped"


async def test_nor_does_one_whose_host_did_not_hear_of_the_change_yet(scene: GuestScene) -> None:
    await a_guest(scene, of_power="Running", number=None)
    scene.hear_host("a", heard=False)
    scene.patch_guest(power("Stopped"))
    await eventually(lambda: [each.spec.serial for each in scene.assignments()] == [2])
    await settled(lambda: len(scene.api.calls))
    await scene.operators[0].kill()
    scene.operators.clear()
    [assignment] = scene.assignments()
    scene.api.delete(ASSIGNMENTS, assignment.metadata.name, namespace=assignment.metadata.namespace)
    assert FindingKind.CAUGHT_UP not in told(await hear(scene))
    scene.hear_host("a", heard=True)
    await scene.operator()
    assert (await scene.until_ready(reason="Stopped")).spec.power == "Stopped"


async def test_a_second_hearing_changes_nothing(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)
    await hear(scene)
    scene.api.calls.clear()
    outcome = await hear(scene)
    assert scene.api.writes(user="healer") == []
    assert outcome.missing == {}


async def test_a_copy_of_a_copy_is_caught_up_with_again(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await put_back(scene, backup)
    await scene.until_ready()
    again = scene.api.store.backup()
    await then(scene, power("Stopped"), reason="Stopped")
    await put_back(scene, again)
    assert (await scene.until_ready(reason="Stopped")).spec.power == "Stopped"


@pytest.mark.parametrize("mark", ["7.3", "0a1b/7.3"])
async def test_a_mark_that_was_copied_from_another_guest_says_nothing(scene: GuestScene, mark: str) -> None:
    backup = await a_guest(scene, of_power="Stopped", annotations={names.CAUGHT_UP_ANNOTATION: mark})
    await then(scene, power("Running"), reason="Running")
    outcome = await put_back(scene, backup)
    assert told(outcome) == [FindingKind.CAUGHT_UP]
    assert (await scene.until_ready()).spec.power == "Running"


async def test_while_its_host_is_not_heard_nothing_is_taken_for_true(scene: GuestScene) -> None:
    backup = await a_guest(scene, of_power="Stopped")
    await then(scene, power("Running"), reason="Running")
    await restore(scene, backup)
    outcome = await hear(scene, unheard=("a",))
    assert not outcome.is_complete
    assert scene.api.writes(user="healer") == []
    assert (await hear(scene)).is_complete
    await scene.operator()
    assert (await scene.until_ready()).spec.power == "Running"
