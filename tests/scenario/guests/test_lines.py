"""Equal guests that wait for room in one line: they follow each other at once, and none that fails holds others up."""

from innkeeper.domain.names import address_name
from innkeeper.kube.resources import HOSTS, IP_POOLS
from tests.kit import objects
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually, settled

RESERVED = "10.7.0.5"
EQUAL = 12


async def room_for(scene: GuestScene, cpus: int) -> None:
    """Have the one host take so many guests in all, and wait until the operator knows."""
    amounts = {"cpu": str(cpus), "memory": "64Gi", "disk": "900Gi"}
    scene.patch_status(HOSTS, "a", {"allocatable": amounts})
    subset = scene.operators[0].subset
    await eventually(lambda: subset.hosts["a"].status.allocatable.cpu == str(cpus))


async def test_a_guest_whose_claim_is_always_denied_holds_up_nobody_behind_it(scene: GuestScene) -> None:
    reservation = {
        "address": RESERVED,
        "owner": "default/denied",
        "reason": "so that others take another one",
    }
    scene.api.patch(IP_POOLS, "lab", {"spec": {"reservations": [reservation]}})
    denial = scene.api.faults.fail(
        f"create ipaddresses {address_name('default', RESERVED)}", status=403, times=None
    )
    await room_for(scene, 0)
    fixed = {"name": "eth0", "addresses": [{"pool": "lab", "address": RESERVED}]}
    scene.add_guest("denied", number=1, spec={"priority": 10, "interfaces": [fixed]})
    scene.add_guest("other", number=2, spec={"priority": 5})
    scene.add_guest("third", number=3)
    for name in ("denied", "other", "third"):
        await scene.until_reason("NoHostFits", name)
    await room_for(scene, 1)
    await scene.until_ready("other")
    assert denial.met, "it was tried first"
    scene.delete_guest("other")
    await scene.until_ready("third")
    scene.api.faults.clear()
    await room_for(scene, 2)
    assert (await scene.until_ready("denied")).status.addresses[0].address == RESERVED


async def test_equal_guests_that_wait_are_bound_beside_each_other_where_there_is_room(
    scene: GuestScene,
) -> None:
    scene.api.create(IP_POOLS, objects.pool("wide", cidr="10.9.0.0/24", gateway=None))
    await room_for(scene, 0)
    names = [f"g{number:02}" for number in range(EQUAL)]
    for number, name in enumerate(names):
        scene.add_guest(name, number=number, spec={"interfaces": [{"name": "eth0", "pool": "wide"}]})
    backlog = scene.operators[0].subset.backlog
    await eventually(lambda: len(backlog) == EQUAL)
    claims = scene.api.faults.hold("create ipaddresses *", times=None)
    await room_for(scene, EQUAL)
    await eventually(lambda: len(claims.met) == EQUAL)
    assert claims.gate is not None
    claims.gate.set()
    for name in names:
        await scene.until_ready(name)


async def test_one_free_place_is_offered_to_few_of_many_that_wait(scene: GuestScene) -> None:
    await room_for(scene, 0)
    for number in range(EQUAL):
        scene.add_guest(f"g{number:02}", number=number, creationTimestamp=f"2026-01-01T00:00:{number:02}Z")
    backlog = scene.operators[0].subset.backlog
    await eventually(lambda: len(backlog) == EQUAL)
    decisions: list[str] = []
    scene.operators[0].flow.scheduler.observed_by(lambda outcome, _: decisions.append(outcome))
    await room_for(scene, 1)
    await scene.until_ready("g00")
    await settled(lambda: len(decisions), for_s=0.5)
    assert decisions == ["placed", "no_host_fits"], "the first, and the one behind it"
