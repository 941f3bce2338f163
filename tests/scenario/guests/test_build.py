"""A Guest becomes an order on its host, in as few writes as the design allows, and its status tells of it."""

import base64

from innkeeper.domain import names
from innkeeper.domain.orders import digest_of, verify
from innkeeper.kube.resources import GUESTS, IMAGES, IP_ADDRESSES, SECRETS
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Call
from tests.kit.guest_scene import IMAGES_URL, SIGNER, GuestScene
from tests.kit.objects import DIGEST, guest_id
from tests.kit.virtual_time import elapse
from tests.kit.waiting import settled


async def test_a_guest_becomes_ready_in_four_writes_of_the_operator(frozen_scene: GuestScene) -> None:
    """A build that takes longer than a status may wait is told of on the way; none does while time stands still."""
    scene = frozen_scene
    scene.add_guest()
    await scene.until_ready()
    assert isinstance(scene.clock, ManualClock)
    await elapse(scene.clock, 10, step_s=1)
    await settled(lambda: len(scene.api.writes()))
    written = [f"{each.verb} {each.resource} {each.subresource}".strip() for each in scene.api.writes()]
    assert written == [
        "create ipaddresses",
        "update guests status",
        "create assignments",
        "patch guests status",
    ]


async def test_the_binding_holds_facts_and_the_conditions_follow(scene: GuestScene) -> None:
    scene.add_guest()
    found = await scene.until_ready()
    status = found.status
    assert (status.id, status.urn) == (guest_id(), f"urn:innkeeper:guest:{guest_id()}")
    assert (status.host, status.cluster, status.epoch) == ("a", "lab", 1)
    assert status.image is not None
    assert status.image.digest == DIGEST
    assert status.resources is not None
    assert (status.resources.cpu, status.resources.memory, status.resources.disk) == ("1", "1Gi", "10Gi")
    assert [each.type for each in status.conditions] == [
        "ImageResolved",
        "Scheduled",
        "AddressesAssigned",
        "Ready",
    ]
    assert all(each.status == "True" for each in status.conditions)
    [held] = scene.addresses()
    assert held.spec.address == status.addresses[0].address
    assert held.spec.owner is not None
    assert (held.spec.owner.id, held.metadata.labels[names.GUEST_ID_LABEL]) == (guest_id(), guest_id())
    assert names.ADDRESS_FINALIZER in held.metadata.finalizers


async def test_the_order_is_signed_and_complete(scene: GuestScene) -> None:
    scene.add_guest(labels={"app": "web"}, spec={"sshKeys": ["ssh-ed25519 AAAA me"], "hostname": "web"})
    found = await scene.until_ready()
    [assignment] = scene.assignments()
    order = verify(assignment.spec.order, {SIGNER.key_id: SIGNER.public_key})
    assert (order.host, order.store_id, order.guest_id) == ("a", "store-1", guest_id())
    assert (order.namespace, order.name, order.generation) == ("default", "web", 1)
    assert order.rank == (1, 1)
    assert (assignment.spec.epoch, assignment.spec.serial) == (1, 1)
    assert order.spec == found.spec
    assert order.labels == {"app": "web"}
    [address] = order.addresses
    assert address.address == found.status.addresses[0].address
    assert (address.prefix_length, address.gateway, address.dns) == (29, "10.7.0.1", ["10.7.0.1"])
    assert address.mac == names.mac_of(guest_id(), "eth0")
    assert order.image is not None
    assert order.image.url == f"{IMAGES_URL}/v1/images/default/debian"
    assert order.image.virtual_size == 2 * 1024**3


async def test_without_an_admission_policy_the_finalizer_comes_first(scene: GuestScene) -> None:
    scene.api.store.admission.clear()
    scene.add_guest()
    await scene.until_ready()
    first = scene.api.writes()[0]
    assert (first.verb, first.resource, first.subresource) == ("patch", "guests", "")
    found = scene.guest()
    assert found is not None
    assert found.metadata.finalizers == [names.GUEST_FINALIZER]


async def test_two_guests_never_share_an_address(scene: GuestScene) -> None:
    for number in range(1, 6):
        scene.add_guest(f"web-{number}", number=number)
    for number in range(1, 6):
        await scene.until_ready(f"web-{number}")
    taken = [each.spec.address for each in scene.addresses()]
    assert sorted(taken) == [f"10.7.0.{last}" for last in range(2, 7)]
    assert len(scene.api.objects(GUESTS)) == 5


async def test_user_data_lie_beside_the_order_before_it_and_the_order_carries_their_digest(
    scene: GuestScene,
) -> None:
    scene.furnish_user_data()
    scene.add_guest(spec={"userData": {"secretName": "mine"}})
    await scene.until_ready()
    made = [each.resource for each in scene.api.writes("create *") if each.namespace == "host-a"]
    assert made == ["secrets", "assignments"]
    order = scene.hosts["a"].running[guest_id()]
    [copy] = scene.api.objects(SECRETS, namespace="host-a")
    assert copy["metadata"]["name"] == order.user_data_secret
    assert base64.b64decode(copy["data"]["userData"]) == b"#cloud-config"
    assert order.user_data_digest == digest_of(b"#cloud-config")


async def test_a_claim_that_an_earlier_operator_made_is_taken_over(scene: GuestScene) -> None:
    """It comes to be a moment before this operator asks: that it exists and is mine is success."""

    def overtaken(call: Call, moment: str) -> None:
        if moment == "before" and call.matches("create ipaddresses *") and not scene.addresses():
            # 10.7.0.6 is what this Guest ID asks for first.
            scene.api.create(IP_ADDRESSES, objects.address(6, owner=guest_id()))

    scene.on_write = overtaken
    scene.add_guest()
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.6"]
    assert len(scene.addresses()) == 1
    assert scene.api.writes("create ipaddresses *") == []


async def test_an_address_that_somebody_else_takes_first_is_left_to_it(scene: GuestScene) -> None:
    def overtaken(call: Call, moment: str) -> None:
        if moment == "before" and call.matches("create ipaddresses *") and not scene.addresses():
            scene.api.create(IP_ADDRESSES, objects.address(6, owner=guest_id(2)))

    scene.on_write = overtaken
    scene.add_guest()
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] != ["10.7.0.6"]
    assert len(scene.addresses()) == 2


async def test_the_order_names_a_compressed_image_by_what_it_unpacks_to(scene: GuestScene) -> None:
    """The host checks and keeps what it gets, and knows nothing of how it lies at the source."""
    content = f"sha256:{'c' * 64}"
    packed = objects.image("packed")
    packed["spec"]["compression"] = "Zstd"
    scene.api.create(IMAGES, packed, namespace="default")
    scene.add_guest(spec={"image": {"name": "packed"}})
    assert (await scene.until_reason("ImageNotReady")).status == "False"
    scene.patch_status(IMAGES, "packed", {"contentDigest": content}, namespace="default")
    found = await scene.until_ready()
    assert found.status.image is not None
    assert found.status.image.digest == content
    [assignment] = scene.assignments()
    order = verify(assignment.spec.order, {SIGNER.key_id: SIGNER.public_key})
    assert order.image is not None
    assert order.image.digest == content
