"""Equal guests that wait for room in one line: they follow each other at once, and none that fails holds others up."""

import pytest

from innkeeper.kube.resources import GUESTS, HOSTS, IP_POOLS
from tests.kit import objects
from tests.kit.fake_api_documents import RefusedError
from tests.kit.fake_api_kinds import Kind
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, Document
from tests.kit.waiting import eventually, settled

EQUAL = 12


async def room_for(scene: GuestScene, cpus: float) -> None:
    """Have the one host take so many guests in all, and wait until the operator knows."""
    amounts = {"cpu": str(cpus), "memory": "64Gi", "disk": "900Gi"}
    scene.patch_status(HOSTS, "a", {"allocatable": amounts})
    subset = scene.operators[0].subset
    await eventually(lambda: subset.hosts["a"].status.allocatable.cpu == str(cpus))


async def all_wait(scene: GuestScene, count: int) -> list[str]:
    """Wait until so many guests wait and nobody looks at them any more; return what is decided from now on."""
    operator, decisions = scene.operators[0], list[str]()
    operator.flow.scheduler.observed_by(lambda outcome, _: decisions.append(outcome))
    await eventually(lambda: len(operator.subset.backlog) == count)
    await settled(lambda: len(decisions), for_s=1)
    decisions.clear()
    return decisions


async def test_a_guest_whose_claim_is_always_denied_holds_up_nobody_behind_it(scene: GuestScene) -> None:
    denied: list[str] = []

    def deny(kind: Kind, body: Document) -> None:
        if kind.plural == "ipaddresses" and body["spec"].get("owner", {}).get("name") == "denied":
            denied.append(body["metadata"]["name"])
            raise RefusedError(403, "Forbidden", "a policy denies it")

    scene.api.store.admission.append(deny)
    await room_for(scene, 0)
    for number, (name, priority) in enumerate({"denied": 10, "other": 5, "third": 0}.items(), start=1):
        scene.add_guest(name, number=number, spec={"priority": priority})
        await scene.until_reason("NoHostFits", name)
    await all_wait(scene, 3)
    await room_for(scene, 1)
    await scene.until_ready("other")
    assert denied, "it was tried first"
    scene.delete_guest("other")
    await scene.until_ready("third")
    scene.api.store.admission.remove(deny)
    await room_for(scene, 2)
    await scene.until_ready("denied")


async def test_a_guest_that_fails_before_it_is_placed_holds_up_nobody_behind_it(scene: GuestScene) -> None:
    await room_for(scene, 0)
    for number, (name, priority) in enumerate({"denied": 10, "other": 0}.items(), start=1):
        scene.add_guest(name, number=number, spec={"priority": priority})
        await scene.until_reason("NoHostFits", name)
    scene.api.store.admission.clear()
    denial = scene.api.faults.fail("patch guests default/denied", status=403, times=None)
    scene.api.patch(GUESTS, "denied", {"metadata": {"finalizers": None}}, namespace=NAMESPACE)
    await eventually(lambda: denial.met)
    await room_for(scene, 1)
    await scene.until_ready("other")
    scene.api.faults.clear()
    await room_for(scene, 2)
    await scene.until_ready("denied")


async def test_equal_guests_that_wait_are_bound_beside_each_other_where_there_is_room(
    scene: GuestScene,
) -> None:
    scene.api.create(IP_POOLS, objects.pool("wide", cidr="10.9.0.0/24", gateway=None))
    await room_for(scene, 0)
    names = [f"g{number:02}" for number in range(EQUAL)]
    for number, name in enumerate(names):
        scene.add_guest(name, number=number, spec={"interfaces": [{"name": "eth0", "pool": "wide"}]})
    await all_wait(scene, EQUAL)
    claims = scene.api.faults.hold("create ipaddresses *", times=None)
    await room_for(scene, EQUAL)
    await eventually(lambda: len(claims.met) == EQUAL)
    assert claims.gate is not None
    claims.gate.set()
    for name in names:
        await scene.until_ready(name)


def add_with_labels(
    scene: GuestScene, name: str, *, number: int, spec: Document | None = None, **labels: str
) -> None:
    """Apply a Guest with labels, the younger the higher its number."""
    created = f"2026-01-01T00:00:{number:02}Z"
    made = objects.guest(name, number=number, spec=spec or {}, creationTimestamp=created)
    made["metadata"]["labels"] = labels
    if "resources" in made["spec"]:
        del made["spec"]["flavor"]
    scene.api.create(GUESTS, made, namespace=NAMESPACE)


@pytest.mark.parametrize(
    "apart", [False, True], ids=["that no rule looks at", "beside one that a rule looks at"]
)
async def test_one_free_place_is_offered_to_few_of_many_with_labels_of_their_own(
    scene: GuestScene, *, apart: bool
) -> None:
    term = {"selector": {"matchLabels": {"app": "db"}}, "topologyKey": "innkeeper.dev/host"}
    spec = {"placement": {"antiAffinity": {"required": [term]}}} if apart else {}
    await room_for(scene, 0)
    for number in range(EQUAL):
        name = f"g{number:02}"
        add_with_labels(scene, name, number=number, spec=spec, app="web", instance=name)
    decisions = await all_wait(scene, EQUAL)
    await room_for(scene, 1)
    await scene.until_ready("g00")
    await settled(lambda: len(decisions), for_s=1)
    assert decisions == ["placed", "no_host_fits"], "the first, and the one behind it"


@pytest.mark.parametrize(
    "kept_out",
    [{"operator": "In", "values": ["front"]}, {"operator": "NotIn", "values": ["back"]}],
    ids=["who has a label", "who has not another one"],
)
async def test_who_stands_behind_a_guest_that_another_one_came_to_keep_out_has_its_turn(
    scene: GuestScene, kept_out: Document
) -> None:
    """They stand in one line until somebody looks at the label that tells them apart."""
    await room_for(scene, 0)
    for number, tier in enumerate(("front", "back"), start=1):
        add_with_labels(scene, tier, number=number, tier=tier)
    term = {
        "selector": {"matchExpressions": [{"key": "tier", **kept_out}]},
        "topologyKey": "innkeeper.dev/host",
    }
    half = {"cpu": "500m", "memory": "1Gi", "disk": "10Gi"}
    spec = {"resources": half, "placement": {"antiAffinity": {"required": [term]}}}
    add_with_labels(scene, "keeper", number=3, spec=spec, tier="back")
    await all_wait(scene, 3)
    await room_for(scene, 0.5)
    await scene.until_ready("keeper")
    await all_wait(scene, 2)
    await room_for(scene, 1.5)
    await scene.until_ready("back")
    await room_for(scene, 2.5)
    await all_wait(scene, 1)
    scene.delete_guest("keeper")
    await scene.until_ready("front")


async def test_one_free_place_is_offered_to_few_of_many_that_wait(scene: GuestScene) -> None:
    await room_for(scene, 0)
    for number in range(EQUAL):
        scene.add_guest(f"g{number:02}", number=number, creationTimestamp=f"2026-01-01T00:00:{number:02}Z")
    decisions = await all_wait(scene, EQUAL)
    await room_for(scene, 1)
    await scene.until_ready("g00")
    await settled(lambda: len(decisions), for_s=1)
    assert decisions == ["placed", "no_host_fits"], "the first, and the one behind it"


async def test_a_throttled_api_server_is_asked_for_the_first_of_a_line_alone(scene: GuestScene) -> None:
    asked: list[str] = []

    def throttle(kind: Kind, body: Document) -> None:
        if kind.plural == "ipaddresses" and body["spec"].get("owner"):
            asked.append(body["spec"]["owner"]["name"])
            raise RefusedError(429, "TooManyRequests", "come back later")

    await room_for(scene, 0)
    for number in range(EQUAL):
        scene.add_guest(f"g{number:02}", number=number, creationTimestamp=f"2026-01-01T00:00:{number:02}Z")
    await all_wait(scene, EQUAL)
    scene.api.store.admission.append(throttle)
    await room_for(scene, 1)
    await eventually(lambda: len(asked) >= 3, deadline_s=60)
    assert set(asked) == {"g00"}, "whoever stands behind it would be refused as well"
    scene.api.store.admission.remove(throttle)
    await scene.until_ready("g00")
    await room_for(scene, 2)
    await scene.until_ready("g01")


async def an_urgent_one_and_another_wait(scene: GuestScene) -> None:
    """Have two guests of different priority stand in one line, for room that is not there."""
    await room_for(scene, 0)
    for number, (name, priority) in enumerate({"urgent": 100, "other": 0}.items(), start=1):
        scene.add_guest(name, number=number, spec={"priority": priority})
        await scene.until_reason("NoHostFits", name)
    await all_wait(scene, 2)


@pytest.mark.parametrize("status", [409, 503])
async def test_a_guest_whose_binding_fails_in_passing_keeps_its_place(scene: GuestScene, status: int) -> None:
    await an_urgent_one_and_another_wait(scene)
    await settled(lambda: len(scene.api.calls), for_s=1)
    failure = scene.api.faults.fail("update guests/status default/urgent", status=status, times=2)
    await room_for(scene, 1)
    await scene.until_ready("urgent")
    assert len(failure.met) == 2
    assert scene.operators[0].subset.guests[NAMESPACE, "other"].status.host is None
    scene.delete_guest("urgent")
    await scene.until_ready("other")


async def test_a_guest_that_goes_while_it_is_to_be_tried_again_leaves_the_room_to_the_next(
    scene: GuestScene,
) -> None:
    await an_urgent_one_and_another_wait(scene)
    failure = scene.api.faults.fail("update guests/status default/urgent", status=409, times=None)
    await room_for(scene, 1)
    await eventually(lambda: failure.met)
    scene.strip_guest("urgent")
    await scene.until_ready("other")


async def test_who_looks_while_the_one_before_it_is_to_be_tried_again_leaves_it_the_room(
    scene: GuestScene,
) -> None:
    await an_urgent_one_and_another_wait(scene)
    failure = scene.api.faults.fail("update guests/status default/urgent", status=409, times=4)
    await room_for(scene, 1)
    for times in (2, 3, 4):
        await eventually(lambda times=times: len(failure.met) == times)
        scene.patch_guest({"metadata": {"annotations": {"looks": str(times)}}}, name="other")
    await scene.until_ready("urgent")
    assert scene.operators[0].subset.guests[NAMESPACE, "other"].status.host is None
