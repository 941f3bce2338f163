"""The line of guests that wait for an address: of a pool, or of what their namespace may have of it."""

import pytest

from innkeeper.kube.resources import GUESTS, IP_POOLS
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually, settled


@pytest.fixture
def scene(frozen_scene: GuestScene) -> GuestScene:
    """Let time stand still."""
    return frozen_scene


async def one_address(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}})
    await scene.seen()


def with_interfaces(scene: GuestScene, count: int, name: str = "web", number: int = 1) -> None:
    interfaces = [{"name": f"eth{index}", "pool": "lab"} for index in range(count)]
    scene.add_guest(name, number=number, spec={"interfaces": interfaces})


async def test_guests_that_wait_get_freed_addresses_in_their_order(scene: GuestScene) -> None:
    await one_address(scene)
    scene.add_guest("holder", number=1)
    await scene.until_ready("holder")
    for number, (name, priority) in enumerate((("second", 0), ("third", 0), ("urgent", 9)), start=2):
        guest = objects.guest(name, number=number, spec={"priority": priority})
        scene.api.create(GUESTS, guest, namespace="default")
        await scene.until_reason("PoolExhausted", name)
    holder = "holder"
    for name in ("urgent", "second", "third"):
        scene.delete_guest(holder)
        await scene.until_gone(holder)
        assert isinstance(scene.clock, ManualClock)
        scene.clock.advance(31)
        calls = len(scene.api.calls)
        await scene.operators[0].sweeper.sweep()
        found = await scene.until_ready(name)
        assert found.status.addresses[0].address == "10.7.0.5"
        told = [call for call in scene.api.calls[calls:] if call.matches("create ipaddresses *")]
        assert len(told) == 1, "nobody else asked for it"
        holder = name


async def test_a_guest_that_waits_and_goes_passes_the_freed_address_on(scene: GuestScene) -> None:
    await one_address(scene)
    for number, name in enumerate(("holder", "second", "third"), start=1):
        scene.add_guest(name, number=number)
        await (scene.until_ready(name) if name == "holder" else scene.until_reason("PoolExhausted", name))
    scene.delete_guest("second")
    await eventually(lambda: scene.guest("second") is None)
    scene.delete_guest("holder")
    await scene.until_gone("holder")
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(31)
    await scene.operators[0].sweeper.sweep()
    await scene.until_ready("third")


@pytest.mark.parametrize("by", ["the pool", "the namespace's limit"])
async def test_a_guest_whose_every_claim_is_refused_keeps_no_free_address_from_those_behind_it(
    scene: GuestScene, by: str
) -> None:
    if by == "the pool":
        await one_address(scene)
    else:
        scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 1}})
        await scene.seen()
    reason = "PoolExhausted" if by == "the pool" else "PoolLimitReached"
    for number, name in enumerate(("holder", "early", "late"), start=1):
        scene.add_guest(name, number=number)
        await (scene.until_ready(name) if name == "holder" else scene.until_reason(reason, name))
    fault = scene.api.faults.fail("create ipaddresses", status=403)
    scene.delete_guest("holder")
    await eventually(lambda: scene.guest("holder") is None)
    if by == "the pool":
        assert isinstance(scene.clock, ManualClock)
        scene.clock.advance(31)
        await scene.operators[0].sweeper.sweep()
    await scene.until_ready("late")
    assert len(fault.met) == 1, "it is tried again after a while, which is not over"
    await scene.until_reason(reason, "early")


async def test_two_addresses_of_a_pool_that_has_one_are_waited_for_without_a_call(scene: GuestScene) -> None:
    await one_address(scene)
    with_interfaces(scene, 2)
    await scene.until_reason("PoolExhausted")
    calls = await settled(lambda: len(scene.api.calls))
    assert isinstance(scene.clock, ManualClock)
    for _ in range(20):
        scene.clock.advance(1)
        await settled(lambda: len(scene.api.calls), for_s=0.02)
    assert len(scene.api.calls) == calls
    assert not [call for call in scene.api.calls if call.matches("create ipaddresses *")]
    scene.add_guest("small", number=2)
    await scene.until_ready("small")  # who wants more than there is keeps nobody waiting
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.3", "end": "10.7.0.5"}]}})
    assert len({each.address for each in (await scene.until_ready()).status.addresses}) == 2


async def test_four_interfaces_of_one_guest_keep_to_the_limit_of_its_namespace(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 3}})
    await scene.seen()
    with_interfaces(scene, 4)
    told = await scene.until_reason("PoolLimitReached")
    assert "more than the 3 addresses" in told.message
    assert scene.addresses() == []
    scene.add_guest("small", number=2)
    await scene.until_ready("small")
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 5}})
    await scene.until_ready()


async def test_guests_that_come_together_keep_to_the_limit_and_follow_one_by_one(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 1}})
    await scene.seen()
    most = 0

    def count(_call: Call, _moment: str) -> None:
        nonlocal most
        most = max(most, len(scene.addresses()))

    scene.on_write = count
    guests = [f"g{number}" for number in range(1, 6)]
    for number, name in enumerate(guests, start=1):
        scene.add_guest(name, number=number)
    ready = []
    for _ in guests:
        [first] = await eventually(lambda: [n for n in guests if n not in ready and is_running(scene, n)])
        ready.append(first)
        for name in set(guests) - set(ready):
            await scene.until_reason("PoolLimitReached", name)
        scene.delete_guest(first)
        await eventually(lambda name=first: scene.guest(name) is None)
    assert most == 1
    assert len([call for call in scene.api.calls if call.matches("create ipaddresses *")]) == len(guests)


def is_running(scene: GuestScene, name: str) -> bool:
    ready = scene.condition("Ready", name)
    return ready is not None and ready.reason == "Running"


async def test_a_claim_that_failed_gives_its_place_in_the_limit_back(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 1}})
    await scene.seen()
    fault = scene.api.faults.hold("create ipaddresses *")
    scene.add_guest("first", number=1)
    await eventually(lambda: fault.met)
    scene.api.faults.fail("create ipaddresses *", status=403)
    scene.add_guest("second", number=2)
    await scene.until_reason("PoolLimitReached", "second")
    scene.delete_guest("first")
    assert fault.gate is not None
    fault.gate.set()
    await eventually(lambda: scene.guest("first") is None)
    await scene.until_ready("second")


async def test_a_guest_that_waits_for_an_address_gets_it_after_the_quarantine(scene: GuestScene) -> None:
    await one_address(scene)
    scene.add_guest("first", number=1)
    await scene.until_ready("first")
    scene.add_guest("second", number=2)
    await scene.until_reason("PoolExhausted", "second")
    scene.delete_guest("first")
    known = scene.operators[0].subset.claims.by_name
    await eventually(lambda: [each.spec.owner for each in known.values()] == [None])
    sweeper, clock = scene.operators[0].sweeper, scene.clock
    assert isinstance(clock, ManualClock)
    clock.advance(29)
    await sweeper.sweep()
    assert len(scene.addresses(held=False)) == 1, "the quarantine is not over"
    clock.advance(2)  # a tenth of it: the pool has no other address
    await sweeper.sweep()
    second = await scene.until_ready("second")
    assert second.status.addresses[0].address == "10.7.0.5"


async def test_who_asks_for_more_than_there_is_now_keeps_one_place_and_not_all(scene: GuestScene) -> None:
    """Three addresses come free by and by; the first in line needs all of them, the next one is served before."""
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.4", "end": "10.7.0.6"}]}})
    await scene.seen()
    for number in (1, 2, 3):
        scene.add_guest(f"holder-{number}", number=number)
        await scene.until_ready(f"holder-{number}")
    with_interfaces(scene, 3, "large", 4)
    await scene.until_reason("PoolExhausted", "large")
    scene.add_guest("small", number=5)
    await scene.until_reason("PoolExhausted", "small")
    assert isinstance(scene.clock, ManualClock)
    for number, reason in ((1, "PoolExhausted"), (2, "Running")):
        scene.delete_guest(f"holder-{number}")
        await eventually(lambda name=f"holder-{number}": scene.guest(name) is None)
        scene.clock.advance(301)
        await scene.operators[0].sweeper.sweep()
        await scene.until_reason(reason, "small")
    await scene.until_reason("PoolExhausted", "large")


async def test_large_guests_in_line_keep_one_place_together_and_a_small_one_is_served(
    scene: GuestScene,
) -> None:
    """Of five addresses three are free; three guests need four each, so a fourth that needs one has it at once."""
    with_interfaces(scene, 2, "holder", 1)
    await scene.until_ready("holder")
    for number in (2, 3, 4):
        with_interfaces(scene, 4, f"large-{number}", number)
        await scene.until_reason("PoolExhausted", f"large-{number}")
    for number, reason in ((5, "Running"), (6, "Running"), (7, "PoolExhausted")):
        scene.add_guest(f"small-{number}", number=number)
        await scene.until_reason(reason, f"small-{number}")


async def test_small_guests_behind_large_ones_are_offered_what_comes_free(scene: GuestScene) -> None:
    """All wait in line while nothing is free. Two addresses come: too few for a large guest, and one is kept."""
    with_interfaces(scene, 2, "holder", 1)
    with_interfaces(scene, 3, "stays", 2)
    for name in ("holder", "stays"):
        await scene.until_ready(name)
    for number in (3, 4, 5):
        with_interfaces(scene, 3, f"large-{number}", number)
        await scene.until_reason("PoolExhausted", f"large-{number}")
    for number in (6, 7):
        scene.add_guest(f"small-{number}", number=number)
        await scene.until_reason("PoolExhausted", f"small-{number}")
    scene.delete_guest("holder")
    await eventually(lambda: scene.guest("holder") is None)
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(301)
    await scene.operators[0].sweeper.sweep()
    await scene.until_ready("small-6")
    scene.delete_guest("stays")
    await eventually(lambda: scene.guest("stays") is None)
    scene.clock.advance(301)
    await scene.operators[0].sweeper.sweep()
    for name in ("large-3", "small-7"):
        await scene.until_ready(name)


async def test_a_large_guest_leaves_what_its_account_may_have_beside_it_to_a_small_one(
    scene: GuestScene,
) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 4}})
    await scene.seen()
    with_interfaces(scene, 2, "holder", 1)
    await scene.until_ready("holder")
    for number in (2, 3):
        with_interfaces(scene, 3, f"large-{number}", number)
        await scene.until_reason("PoolLimitReached", f"large-{number}")
    for number, reason in ((4, "Running"), (5, "PoolLimitReached")):
        scene.add_guest(f"small-{number}", number=number)
        await scene.until_reason(reason, f"small-{number}")
