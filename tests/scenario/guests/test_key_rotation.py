"""The operator changes its order key while guests run."""

from innkeeper.domain.orders import OrderInvalidError, Signer, verify
from tests.kit.guest_scene import SIGNER, GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

NEW = Signer(b"\x02" * 32)


async def test_orders_of_the_previous_key_are_signed_anew_and_the_guest_runs_on(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    await scene.operators.pop().kill()
    scene.hosts["a"].trust(NEW)
    await scene.operator(signer=NEW, previous=SIGNER)
    await eventually(lambda: scene.assignments()[0].spec.serial == 2)
    order = verify(scene.assignments()[0].spec.order, {NEW.key_id: NEW.public_key})
    assert (order.epoch, order.serial, order.desired) == (1, 2, "Running")
    await scene.until_ready()
    assert scene.hosts["a"].running[guest_id()].serial == 2
    await settled(lambda: len(scene.api.writes()))
    assert [each.spec.serial for each in scene.assignments()] == [2], "each order is signed anew once"
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")


async def test_without_the_previous_key_its_orders_count_for_nothing(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    await scene.operators.pop().kill()
    scene.hosts["a"].trust(NEW)
    await scene.operator(signer=NEW)
    await eventually(lambda: _is_signed_by(scene, NEW))
    await scene.until_ready()


def _is_signed_by(scene: GuestScene, signer: Signer) -> bool:
    try:
        verify(scene.assignments()[0].spec.order, {signer.key_id: signer.public_key})
    except OrderInvalidError:
        return False
    return True
