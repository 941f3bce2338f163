"""Maintenance of a host as the API shows it: which guests are left, and that it can be taken back."""

from typing import Any

from innkeeper.domain import names
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, HOSTS
from tests.kit import objects
from tests.kit.waiting import eventually
from tests.scenario.hosts.conftest import Scene


async def bind(scene: Scene, name: str, number: int) -> None:
    """Have a guest bound to the host `a`, as another part of the operator does, and seen by this one.

    A Host that is seen first is told as empty, and guests that come later are told with the counters.
    """
    status = {"host": "a", "epoch": 1, "resources": {"cpu": "1", "memory": "1Gi", "disk": "10Gi"}}
    body = objects.guest(name, number=number, status=status)
    scene.api.create(GUESTS, body, namespace=objects.NAMESPACE)
    await eventually(lambda: (objects.NAMESPACE, name) in scene.subset.guests)


def remove(scene: Scene, name: str) -> None:
    """Have a guest deleted to the end, as another part of the operator does."""
    scene.api.delete(GUESTS, name, namespace=objects.NAMESPACE)
    scene.api.patch(GUESTS, name, {"metadata": {"finalizers": None}}, namespace=objects.NAMESPACE)


def told(scene: Scene) -> tuple[str, str] | None:
    found = scene.condition("a", "Maintenance")
    return (found["reason"], found["message"]) if found else None


def ask(scene: Scene, **spec: Any) -> None:
    scene.api.patch(HOSTS, "a", {"spec": spec})


def schedulable(scene: Scene) -> bool:
    return bool((scene.api.get(HOSTS, "a") or {})["status"]["schedulable"])


async def test_it_is_told_at_once_and_taken_back_at_once(scene: Scene) -> None:
    await scene.joined("a")
    assert schedulable(scene)
    await bind(scene, "web", 1)
    ask(scene, maintenance=True)
    await eventually(lambda: told(scene) == ("GuestsRemain", "1 guest is still here: default/web"))
    assert not schedulable(scene)
    assert scene.reason("a") == "Ready", "the guests that it has run on"
    ask(scene, maintenance=False)
    await eventually(lambda: told(scene) is None)
    assert schedulable(scene)


async def test_guests_that_leave_are_counted_with_the_other_counters(scene: Scene) -> None:
    await scene.joined("a")
    await bind(scene, "web", 1)
    await bind(scene, "db", 2)
    ask(scene, maintenance=True)
    await eventually(
        lambda: told(scene) == ("GuestsRemain", "2 guests are still here: default/db, default/web")
    )
    before = len(scene.api.writes("patch hosts/status a"))
    remove(scene, "web")
    remove(scene, "db")
    await eventually(lambda: not scene.subset.guests)  # the counters' wait begins here
    await scene.pass_time(11, beating=("a",))
    await eventually(lambda: told(scene) == ("Empty", "no guest is here: the machine can be worked on"))
    assert len(scene.api.writes("patch hosts/status a")) == before + 1


async def test_a_guest_that_was_deleted_by_force_is_still_here(scene: Scene) -> None:
    """Its object is gone, its order is not: the host may still run it."""
    await scene.joined("a")
    await bind(scene, "web", 1)
    ask(scene, maintenance=True)
    order = objects.assignment(guest=objects.guest_id(1), desired="Destroyed")
    scene.api.create(ASSIGNMENTS, order, namespace=names.host_namespace("a"))
    await eventually(lambda: told(scene) is not None)
    await eventually(lambda: scene.subset.assignments)
    remove(scene, "web")
    await eventually(lambda: not scene.subset.guests)
    await scene.pass_time(11, beating=("a",))
    assert told(scene) == ("GuestsRemain", "1 guest is still here: default/web")
    scene.api.delete(ASSIGNMENTS, objects.guest_id(1), namespace=names.host_namespace("a"))
    await eventually(lambda: not scene.subset.assignments)
    await scene.pass_time(11, beating=("a",))
    await eventually(lambda: told(scene) == ("Empty", "no guest is here: the machine can be worked on"))
