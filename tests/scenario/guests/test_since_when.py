"""Since when a guest has its address is told, whoever had it before and whatever became of its objects."""

from dataclasses import replace

import pytest

from innkeeper.domain import names
from innkeeper.kube.resources import GUESTS, IP_ADDRESSES, IP_POOLS
from innkeeper.workers.sweeper import SIGHTINGS
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually

BEGIN, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


@pytest.fixture
def scene(frozen_scene: GuestScene) -> GuestScene:
    """Let time stand still until it is moved."""
    return frozen_scene


def since(scene: GuestScene) -> list[str | None]:
    """Return since when each address is held, as `kubectl get ipaddresses` shows it."""
    return [each.spec.owner.since for each in scene.addresses() if each.spec.owner]


def an_hour_goes_by(scene: GuestScene) -> None:
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(3600)


async def gone(scene: GuestScene) -> None:
    """Have the claim taken away by force."""
    [claim] = scene.addresses()
    scene.api.patch(IP_ADDRESSES, claim.metadata.name, {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, claim.metadata.name)
    await eventually(lambda: not scene.operators[0].subset.claims.by_name)


async def test_it_is_when_the_guest_claimed_it_and_not_when_its_object_was_made(scene: GuestScene) -> None:
    scene.api.patch(
        IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}], "quarantine": "1s"}}
    )
    await scene.seen()
    scene.add_guest()
    await scene.until_ready()
    assert since(scene) == [BEGIN]
    scene.delete_guest()
    await scene.until_gone()
    assert since(scene) == []
    an_hour_goes_by(scene)
    await scene.operators[0].sweeper.sweep()
    scene.add_guest("next", number=2)
    await scene.until_ready("next")
    assert since(scene) == [LATER]


async def test_a_claim_that_is_made_again_keeps_the_time_of_the_one_that_was_lost(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    an_hour_goes_by(scene)
    await gone(scene)
    for _ in range(SIGHTINGS):
        await scene.operators[0].sweeper.sweep()
    assert since(scene) == [BEGIN]


async def test_a_guest_that_is_back_at_its_address_has_it_since_its_host_runs_it(scene: GuestScene) -> None:
    """Its object was lost, its address rested meanwhile, and a person made the object anew from the host's order."""
    scene.add_guest()
    await scene.until_ready()
    host, operator = scene.hosts["a"], scene.operators[0]
    host.records[guest_id()] = replace(host.records[guest_id()], accepted_at="2025-12-24T18:00:00Z")
    [claim] = scene.addresses()
    scene.strip_guest()
    await eventually(lambda: guest_id() not in operator.subset.guest_keys)
    rests = {
        "metadata": {"labels": {names.GUEST_ID_LABEL: None}},
        "spec": {"owner": None, "releasedAt": BEGIN},
    }
    scene.api.patch(IP_ADDRESSES, claim.metadata.name, rests)
    scene.remember("a", operator)
    marks = {names.ID_ANNOTATION: guest_id(), names.REVIVED_FROM_ANNOTATION: "a"}
    await scene.seen()
    scene.add_guest(annotations=marks)
    await eventually(lambda: since(scene) == ["2025-12-24T18:00:00Z"])
    assert scene.api.get(GUESTS, "web", namespace=NAMESPACE) is not None
