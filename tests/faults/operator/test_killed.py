"""Killed right before or right after any write, the next operator, which remembers nothing, ends in the same state."""

import pytest

from innkeeper.kube.resources import HOSTS, SECRETS
from tests.faults.operator.axe import MOMENTS, Axe, steps, succeed
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled

each_moment = pytest.mark.parametrize("moment", MOMENTS)
BUILD = [
    ("patch guests", 1),  # the finalizer, where no admission policy put it
    ("create ipaddresses", 1),
    ("update guests/status", 1),  # the binding
    ("create secrets", 1),
    ("create assignments", 1),
    ("patch guests/status", 1),  # Ready
]
DELETE = [
    ("patch assignments", 1),
    ("patch ipaddresses", 1),
    ("patch guests", 1),
    ("delete secrets", 1),
    ("delete assignments", 1),
]
REFUSAL = [
    ("create assignments", 1),
    ("update guests/status", 2),  # the epoch rises, the host is cleared
    ("update guests/status", 3),  # bound again
    ("create assignments", 2),
    ("delete assignments", 1),
    ("patch guests/status", 1),  # Ready
]
ADDRESS_IN_USE = [
    ("create assignments", 1),
    ("patch ipaddresses", 1),
    ("update guests/status", 2),
    ("create ipaddresses", 2),
    ("update guests/status", 3),
    ("patch assignments", 1),
]
POWER = [("patch assignments", 1), ("patch guests/status", 1)]


@pytest.fixture(name="scene")
async def _with_operator(scene: GuestScene) -> GuestScene:
    await scene.operator()
    return scene


def apply(scene: GuestScene) -> None:
    """Apply a guest that needs every kind of write."""
    scene.api.store.admission.clear()
    data = {"metadata": {"name": "mine"}, "stringData": {"userData": "#cloud-config"}}
    scene.api.create(SECRETS, data, namespace=NAMESPACE)
    scene.add_guest(spec={"userData": {"secretName": "mine"}})


def strike(scene: GuestScene, point: tuple[str, int], moment: str) -> Axe:
    """Have the operator killed at a write."""
    axe = Axe(point[0], nth=point[1], moment=moment, user="operator-1")
    scene.on_write = axe
    return axe


def claims(scene: GuestScene) -> int:
    """How many addresses were ever asked for and got; a call that was cut before it was carried out has no name."""
    return len({call.name for call in scene.api.called("create ipaddresses") if call.name})


async def assert_built_once(scene: GuestScene, *, host: str = "a") -> None:
    """One binding, one address, one Assignment, one promise, one guest on a host, and nothing else."""
    await settled(lambda: len(scene.api.calls))
    found = await scene.until_ready()
    assert found.status.host == host
    [held], [assignment] = scene.addresses(), scene.assignments()
    assert [each.address for each in found.status.addresses] == [held.spec.address]
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id()
    assert assignment.metadata.namespace == f"host-{host}"
    assert [name for name, each in scene.hosts.items() if guest_id() in each.running] == [host]
    promises = scene.operators[0].subset.promises
    assert {name: promises.count(name) for name in scene.hosts if promises.count(name)} == {host: 1}


async def assert_nothing_left(scene: GuestScene) -> None:
    """No Guest, Assignment, copy of user data, claim or promise."""
    await scene.until_gone()
    await settled(lambda: len(scene.api.calls))
    assert scene.addresses() == []
    assert scene.api.objects(SECRETS, namespace="host-a") == []
    assert scene.hosts["a"].running == {}
    assert scene.operators[0].subset.promises.count("a") == 0


@each_moment
@pytest.mark.parametrize("point", BUILD)
async def test_while_a_guest_is_built(scene: GuestScene, point: tuple[str, int], moment: str) -> None:
    axe = strike(scene, point, moment)
    apply(scene)
    await succeed(scene, axe)
    await scene.until_ready()
    await assert_built_once(scene)
    assert claims(scene) == 1, "the second operator asks for the same address first"
    assert scene.assignments()[0].spec.serial == 1


@each_moment
@pytest.mark.parametrize("point", DELETE)
async def test_while_a_guest_is_deleted(scene: GuestScene, point: tuple[str, int], moment: str) -> None:
    apply(scene)
    await scene.until_ready()
    axe = strike(scene, point, moment)
    scene.delete_guest()
    await succeed(scene, axe)
    await assert_nothing_left(scene)
    assert scene.hosts["a"].destroyed == [guest_id()]


@each_moment
@pytest.mark.parametrize("point", REFUSAL)
async def test_while_a_refusal_is_taken(scene: GuestScene, point: tuple[str, int], moment: str) -> None:
    scene.add_host("b", store_id="store-b", memory="2Gi")  # `a` has more room and is asked first
    scene.hosts["a"].refuses = "InsufficientCapacity"
    axe = strike(scene, point, moment)
    scene.add_guest()
    await succeed(scene, axe)
    await scene.until_ready()
    await eventually(lambda: len(scene.assignments()) == 1)
    await assert_built_once(scene, host="b")
    assert claims(scene) == 1


@each_moment
@pytest.mark.parametrize("point", ADDRESS_IN_USE)
async def test_while_an_address_in_use_is_replaced(
    scene: GuestScene, point: tuple[str, int], moment: str
) -> None:
    host = scene.hosts["a"]
    host.refuses = "AddressInUse"
    axe = strike(scene, point, moment)

    def relent(call: object, when: str) -> None:
        if host.records:
            host.refuses = None
        axe(call, when)  # type: ignore[arg-type] # what the scene passes is a Call

    scene.on_write = relent
    scene.add_guest()
    await succeed(scene, axe)
    await scene.until_ready()
    await assert_built_once(scene)
    assert len(scene.addresses(held=False)) == 1


@each_moment
@pytest.mark.parametrize("point", POWER)
async def test_while_power_changes(scene: GuestScene, point: tuple[str, int], moment: str) -> None:
    scene.add_guest()
    await scene.until_ready()
    axe = strike(scene, point, moment)
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await succeed(scene, axe)
    await scene.until_ready(reason="Stopped")
    assert [each.spec.serial for each in scene.assignments()] == [2]


@each_moment
@pytest.mark.parametrize("point", [("patch ipaddresses", 1), ("patch guests", 1), ("delete assignments", 1)])
async def test_while_a_refused_guest_is_deleted(
    scene: GuestScene, point: tuple[str, int], moment: str
) -> None:
    """Its host holds nothing and is asked for nothing, so only the operator can clear up."""
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    axe = strike(scene, point, moment)
    scene.delete_guest()
    await succeed(scene, axe)
    await assert_nothing_left(scene)


@each_moment
@pytest.mark.parametrize("point", [("patch ipaddresses", 1), ("patch guests", 1), ("delete assignments", 1)])
async def test_while_a_guest_goes_with_its_lost_host(
    scene: GuestScene, point: tuple[str, int], moment: str
) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hosts["a"].hears = False
    axe = strike(scene, point, moment)
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    if point[0] != "patch ipaddresses":
        await scene.until_reason("HostLost")
    scene.delete_guest()
    await succeed(scene, axe)
    await scene.until_gone()
    await eventually(lambda: not scene.addresses())


async def test_the_tables_name_every_write(scene: GuestScene) -> None:
    apply(scene)
    await scene.until_ready()
    await settled(lambda: len(scene.api.calls))
    assert steps(scene.api.writes()) == [name for name, _ in BUILD]
    scene.api.calls.clear()
    scene.delete_guest()
    await scene.until_gone()
    told = [each for each in steps(scene.api.writes()) if each != "patch guests/status"]
    assert told == [name for name, _ in DELETE]
