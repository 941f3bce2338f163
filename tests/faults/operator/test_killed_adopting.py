"""Killed right before or right after any write of an adoption: the guest runs on, once, with its address.

All that is left of the guest in the API server is nothing: its host alone holds it, and every object is made anew.
"""

import contextlib

import pytest

from innkeeper.domain.orders import Rank
from innkeeper.kube.errors import ApiError
from innkeeper.kube.resources import ASSIGNMENTS, IP_ADDRESSES
from innkeeper.workers.orphans.finding import SIGHTINGS, Orphan
from tests.faults.operator.axe import MOMENTS, Axe, steps, succeed
from tests.kit.guest_scene import GuestScene, Operator
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

ADOPT = ["create guests", "create ipaddresses", "update guests/status", "create assignments"]
REMOVE = ["create assignments", "patch assignments", "delete assignments"]


async def lose(scene: GuestScene) -> str:
    """Build a guest, and lose all of its objects; return its address."""
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    await settled(lambda: len(scene.api.calls))
    scene.strip_guest()
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    [held] = scene.addresses()
    scene.api.patch(IP_ADDRESSES, held.metadata.name, {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, held.metadata.name)
    subset = scene.operators[0].subset
    await eventually(lambda: not subset.guests and not subset.assignments and not list(subset.claims))
    scene.api.calls.clear()
    return held.spec.address


async def found(scene: GuestScene, operator: Operator) -> Orphan | None:
    """Return the orphan, if it is still one."""
    scene.remember("a", operator)
    operator.orphans.ask = lambda host: scene.remember(host, operator)
    for _ in range(SIGHTINGS):
        await operator.orphans.look()
    await operator.orphans.look()  # its host was asked again meanwhile
    return next(iter(operator.orphans.all()), None)


async def assert_adopted_once(scene: GuestScene, address: str) -> None:
    """One Guest, one claim, one Assignment; the host was told nothing but what it holds."""
    guest = await scene.until_ready()
    await settled(lambda: len(scene.api.calls))
    [held], [assignment] = scene.addresses(), scene.assignments()
    assert (guest.status.host, guest.status.cluster) == ("a", "lab")
    assert [each.address for each in guest.status.addresses] == [held.spec.address] == [address]
    assert held.spec.owner is not None
    assert held.spec.owner.id == assignment.metadata.name == guest_id()
    assert scene.hosts["a"].destroyed == []
    assert scene.operators[0].subset.promises.count("a") == 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", ADOPT)
async def test_while_a_guest_is_adopted(scene: GuestScene, step: str, moment: str) -> None:
    address = await lose(scene)
    axe = Axe(step, nth=1, moment=moment, user="operator-1")
    scene.on_write = axe
    orphan = await found(scene, scene.operators[0])
    assert orphan is not None
    with contextlib.suppress(ApiError):  # the person gets no answer
        await scene.operators[0].word.adopt(orphan)
    await succeed(scene, axe)
    again = await found(scene, scene.operators[0])
    if again is not None:
        await scene.operators[0].word.adopt(again)  # asked once more
    await assert_adopted_once(scene, address)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", REMOVE)
async def test_while_an_orphan_is_removed(scene: GuestScene, step: str, moment: str) -> None:
    await lose(scene)
    axe = Axe(step, nth=1, moment=moment, user="operator-1")
    scene.on_write = axe
    orphan = await found(scene, scene.operators[0])
    assert orphan is not None
    with contextlib.suppress(ApiError):
        await scene.operators[0].word.remove(orphan)
    await succeed(scene, axe)
    again = await found(scene, scene.operators[0])
    if again is not None:
        await scene.operators[0].word.remove(again)
    await eventually(lambda: scene.hosts["a"].destroyed == [guest_id()])
    await eventually(lambda: not scene.assignments())
    assert scene.guest() is None


async def test_the_tables_name_every_write(scene: GuestScene) -> None:
    await lose(scene)
    operator = scene.operators[0]
    orphan = await found(scene, operator)
    assert orphan is not None
    await operator.word.adopt(orphan)
    await scene.until_ready()
    await settled(lambda: len(scene.api.calls))
    told = [each for each in steps(scene.api.writes()) if each != "patch guests/status"]
    assert told == ADOPT
    assert scene.assignments()[0].spec.serial == Rank(1, 1).serial, (
        "the order that the host holds says it all"
    )
