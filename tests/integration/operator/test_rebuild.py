"""An API server that lost all it held, or was put back, beside agents that go on: what the hosts hold is there again."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest

from innkeeper.domain.names import SYSTEM_NAMESPACE
from innkeeper.domain.rebuild.gate import RebuildPolicy, RebuildState
from innkeeper.kube.client import Client
from innkeeper.kube.conditions import find
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import UnavailableError
from innkeeper.kube.resources import ASSIGNMENTS, CONFIG_MAPS, GUESTS, HOSTS, IP_ADDRESSES
from innkeeper.processes.gate import HistoryLostError
from innkeeper.processes.operator import OperatorProcess
from innkeeper.processes.store_history import OBJECT
from tests.integration.operator import scene
from tests.integration.operator.rebuild_scene import (
    NAME,
    Place,
    a_place,
    apply_again,
    furnish,
    ready_guests,
    told,
)
from tests.kit.operator_process import an_operator, leads
from tests.kit.own_plane import OwnPlane, own_plane
from tests.kit.plane_store import PlaneStore
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

GUEST_NAMES = ("g1", "g2", "g3", "g4")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[OwnPlane]:
    with own_plane("rebuild", tmp_path) as made:
        yield made


@pytest.fixture
async def place(plane: OwnPlane, tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(plane, tmp_path) as made:
        yield made


@pytest.fixture
async def admin(plane: OwnPlane) -> AsyncIterator[Client]:
    async with Client(Credentials.from_kubeconfig(plane.admin)) as client:
        yield client


async def build(place: Place, admin: Client, *names: str) -> dict[str, tuple[object, ...]]:
    """Have two hosts join, and guests run on them."""
    await furnish(admin, "a", "b")
    for host in ("a", "b"):
        await place.add_host(admin, host)
        await scene.ready(admin, HOSTS, host, reason="Ready")
    for name in names:
        await scene.guest(admin, name, of=NAME)
    return told(await ready_guests(admin, *names))


def starts(place: Place) -> dict[str, int]:
    """Return how often each guest's machine was started, on all hosts together."""
    found: dict[str, int] = {}
    for driver in place.drivers.values():
        for guest_id, count in driver.starts.items():
            found[guest_id] = found.get(guest_id, 0) + count
    return found


async def asked(admin: Client, name: str) -> bool:
    """Ask for a guest; tell whether the API server took it."""
    try:
        await scene.guest(admin, name, of=NAME)
    except UnavailableError:
        return False
    return True


async def orders_are_of(admin: Client, guests: int) -> bool:
    """Tell whether there is one Assignment for each of so many guests; that of a destroyed one goes last of all."""
    return len((await admin.list(ASSIGNMENTS)).items) == guests


def waits(process: OperatorProcess) -> float | None:
    return process.registry.get_sample_value("innkeeper_rebuild_waits")


async def test_a_wiped_control_plane_gets_back_what_hosts_hold(place: Place, admin: Client) -> None:
    async with place.operator() as first:
        await leads(first)
        before = await build(place, admin, *GUEST_NAMES)
    await asyncio.to_thread(place.wipe)
    async with place.operator() as second:
        await eventually(lambda: waits(second) == 1, deadline_s=60)
        assert not second.leading

        looked = await place.rebuild("--dry-run", "--output=json")
        assert looked.returncode == 0, looked.stderr
        assert json.loads(looked.stdout)["missing"]["Guest"] == len(before)
        assert (await admin.list(GUESTS)).items == []

        done = await place.rebuild("--output=json")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert (result["complete"], result["made"]["Guest"], result["findings"]) == (True, len(before), [])
        assert result["leftToYou"]["ipPools"] == [NAME]

        await leads(second)
        await apply_again(admin)
        await place.renew_tokens(admin)
        after = await ready_guests(admin, *GUEST_NAMES)
        assert told(after) == before
        assert set(starts(place).values()) == {1}, "no machine was started again"
        held = [each for each in (await admin.list(IP_ADDRESSES)).items if each.spec.owner is not None]
        assert len(held) == len(before)

        await scene.guest(admin, "new", of=NAME)
        await ready_guests(admin, "new")
        await admin.delete(GUESTS, "g1", namespace="default")
        await scene.gone(admin, GUESTS, "g1", namespace="default")
        await eventually(
            lambda: sum(len(driver._machines) for driver in place.drivers.values()) == len(before),
            deadline_s=60,
        )
        again = await place.rebuild("--output=json", "--dry-run")
        assert json.loads(again.stdout)["missing"] == {}


async def test_a_host_that_is_not_heard_holds_the_rebuild_up_until_a_person_gives_it_up(
    place: Place, admin: Client
) -> None:
    async with place.operator() as first:
        await leads(first)
        await build(place, admin, "g1")
    [lost] = [name for name, driver in place.drivers.items() if not driver.starts] or ["b"]
    listed = json.loads(place.hosts_file.read_text())["hosts"]
    for each in listed:
        if each["name"] == lost:
            each["address"] = "127.0.0.1:9"
    place.hosts_file.write_text(json.dumps({"hosts": listed}))
    await asyncio.to_thread(place.wipe)
    refused = await place.rebuild()
    assert refused.returncode == 1
    assert f"could not be heard: {lost}" in refused.stderr
    assert (await admin.list(GUESTS)).items == []
    assert (await place.rebuild("--without=nobody")).returncode == 1
    done = await place.rebuild(f"--without={lost}")
    assert done.returncode == 0, done.stderr
    assert len((await admin.list(GUESTS)).items) == 1


async def test_the_operator_rebuilds_by_itself_where_it_may(place: Place, admin: Client) -> None:
    async with place.operator() as first:
        await leads(first)
        before = await build(place, admin, "g1", "g2")
    await asyncio.to_thread(place.wipe)
    async with place.operator(rebuild=RebuildPolicy.AUTO) as second:
        await leads(second)
        assert told({each.metadata.name: each for each in (await admin.list(GUESTS)).items}) == before
        await apply_again(admin)
        await place.renew_tokens(admin)
        assert told(await ready_guests(admin, "g1", "g2")) == before
    assert set(starts(place).values()) == {1}


async def test_hosts_that_only_the_operators_snapshot_names_are_asked(
    place: Place, admin: Client, tmp_path: Path
) -> None:
    known = {"hosts_file": None, "snapshot_file": tmp_path / "snapshot"}
    async with place.operator(**known) as first:
        await leads(first)
        before = await build(place, admin, "g1", "g2")
    await asyncio.to_thread(place.wipe)
    async with place.operator(**known) as second:
        await eventually(lambda: waits(second) == 1, deadline_s=60)
        assert not second.leading
        place.hosts_file.write_text('{"hosts": []}')
        refused = await place.rebuild("--dry-run")
        assert (refused.returncode, "there is no host to ask" in refused.stderr) == (1, True)
        looked = await place.rebuild("--dry-run", f"--snapshot-file={known['snapshot_file']}")
        assert "missing: 2 Guest" in looked.stdout, looked.stderr
    async with place.operator(rebuild=RebuildPolicy.AUTO, **known) as third:
        await leads(third)
        assert told({each.metadata.name: each for each in (await admin.list(GUESTS)).items}) == before
        await apply_again(admin)
        await place.renew_tokens(admin)
        assert told(await ready_guests(admin, "g1", "g2")) == before
    assert set(starts(place).values()) == {1}


async def test_a_control_plane_that_was_put_back_learns_what_happened_since(
    place: Place, admin: Client, tmp_path: Path
) -> None:
    copy, file = tmp_path / "copy", tmp_path / "snapshot"
    async with place.operator(snapshot_file=file) as first:
        await leads(first)
        await build(place, admin, "g1", "gone", "off")
    await asyncio.to_thread(place.store.copy, copy)
    async with place.operator(snapshot_file=file) as second:
        await leads(second)
        await eventually(lambda: asked(admin, "since"), deadline_s=60)  # the API server has only begun
        before = told(await ready_guests(admin, "g1", "since"))
        change = {"spec": {"power": "Stopped"}, "metadata": {"labels": {"tier": "back"}}}
        await admin.patch(GUESTS, "off", change, namespace="default")
        await scene.ready(admin, GUESTS, "off", reason="Stopped")
        await admin.delete(GUESTS, "gone", namespace="default")
        await scene.gone(admin, GUESTS, "gone", namespace="default")
    await asyncio.to_thread(place.store.put_back, copy)
    async with place.operator(snapshot_file=file) as third:
        await leads(third)
        assert told(await ready_guests(admin, "g1", "since")) == before
        off = await scene.ready(admin, GUESTS, "off", reason="Stopped")
        assert (off.spec.power, off.metadata.labels) == ("Stopped", {"tier": "back"}), (
            "as it was changed since"
        )
        ended = await scene.ready(admin, GUESTS, "gone", reason="DestroyedSince")
        stalled = find(ended.status.conditions, "Stalled")
        assert stalled is not None
        await eventually(lambda: asked(admin, "new"), deadline_s=60)
        new = await ready_guests(admin, "new")
        in_use = {address for _, _, addresses in before.values() for address in addresses}  # type: ignore[attr-defined] # of `told`
        assert new["new"].status.addresses[0].address not in in_use
        await admin.delete(GUESTS, "gone", namespace="default")
        await scene.gone(admin, GUESTS, "gone", namespace="default")
        assert set(starts(place).values()) == {1}
        await eventually(lambda: orders_are_of(admin, 4), deadline_s=60)


async def some_marks_later(process: OperatorProcess) -> None:
    term = process._gate._term
    await eventually(lambda: process._gate._term != term, deadline_s=60)


async def some_objects_later(process: OperatorProcess, admin: Client) -> None:
    """Have the operator see what was written since its last mark: an API server that begins writes some things too."""
    await admin.create(HOSTS, {"metadata": {"name": "busy"}, "spec": {"cluster": NAME}})
    for number in range(300):
        await admin.patch(HOSTS, "busy", {"metadata": {"annotations": {"turn": str(number)}}})
    await eventually(
        lambda: process.subset.hosts["busy"].metadata.annotations.get("turn") == "299", deadline_s=60
    )


async def put_back_under(
    process: OperatorProcess, store: PlaneStore, copy: Path, later: Awaitable[None]
) -> None:
    """Copy the store of an operator that leads and, some time later, put it back."""
    await leads(process)
    await asyncio.to_thread(store.copy, copy)
    await later
    await asyncio.to_thread(store.put_back, copy)


# kopf, in a loop of its own, leaves a connection open when it is ended while the API server is away.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("is_marked_since", [True, False])
async def test_an_operator_that_leads_while_the_store_is_put_back_ends(
    place: Place, admin: Client, tmp_path: Path, *, is_marked_since: bool
) -> None:
    settings = {**place.settings(), "images_url": place.images.url, "leader_election": False}
    every_s = 1 if is_marked_since else 3600
    async with Client(place.operator_credentials) as client, asyncio.timeout(120 if is_marked_since else 200):
        process = an_operator(client, snapshot_every_s=every_s, **settings)
        later = some_marks_later(process) if is_marked_since else some_objects_later(process, admin)
        trouble = asyncio.create_task(put_back_under(process, place.store, tmp_path / "copy", later))
        with pytest.raises(BaseExceptionGroup) as ended:
            await process.run()
        await trouble
        noted = await client.get(CONFIG_MAPS, OBJECT, namespace=SYSTEM_NAMESPACE)
    gc.collect()
    assert ended.group_contains(HistoryLostError)
    assert noted.data["rebuild"].startswith(RebuildState.HEALING)
