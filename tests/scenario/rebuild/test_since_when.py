"""Since when a guest has its address is told as its host knows it, also after its object was made anew."""

import pytest

from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.views.network import IPAddress
from tests.kit.objects import view
from tests.scenario.rebuild.conftest import Scene

YEARS_AGO = "2021-03-04T05:06:07.000123Z"


def since(scene: Scene) -> list[str | None]:
    """Return since when each address is held, as `kubectl get ipaddresses` shows it."""
    found = (view(each, IPAddress) for each in scene.api.objects(IP_ADDRESSES))
    return [each.spec.owner.since for each in found if each.spec.owner]


async def test_after_a_rebuild_it_is_when_the_host_promised_to_run_the_guest(scene: Scene) -> None:
    host = scene.host("a")
    host.hold(host.order(), accepted_at=YEARS_AGO)
    await scene.run()
    assert since(scene) == ["2021-03-04T05:06:07Z"]


async def test_an_address_that_rested_shows_nothing_of_its_former_holder(scene: Scene) -> None:
    host = scene.host("a")
    host.hold(host.order(), accepted_at=YEARS_AGO)
    await scene.run()
    [claim] = scene.api.objects(IP_ADDRESSES)
    rests = {"spec": {"owner": None, "releasedAt": "2026-01-01T00:00:00Z"}}
    scene.api.patch(IP_ADDRESSES, claim["metadata"]["name"], rests)
    assert since(scene) == []
    await scene.run()
    assert since(scene) == ["2021-03-04T05:06:07Z"]


async def test_what_is_held_keeps_the_time_that_it_has(scene: Scene) -> None:
    host = scene.host("a")
    host.hold(host.order(), accepted_at=YEARS_AGO)
    await scene.run()
    [claim] = scene.api.objects(IP_ADDRESSES)
    earlier = {"spec": {"owner": {"since": "2020-01-01T00:00:00Z", "interface": "eth7"}}}
    scene.api.patch(IP_ADDRESSES, claim["metadata"]["name"], earlier)
    await scene.run()
    assert since(scene) == ["2020-01-01T00:00:00Z"]


@pytest.mark.parametrize("word", ["", "soon", "2021-03-04", "0001-01-01T00:00:00+23:00"])
async def test_a_host_that_tells_no_time_has_its_addresses_claimed_all_the_same(
    scene: Scene, word: str
) -> None:
    """As an agent of an earlier version, or one that was tampered with."""
    host = scene.host("a")
    host.hold(host.order(), accepted_at=word)
    assert (await scene.run()).is_complete
    assert since(scene) == [None]
