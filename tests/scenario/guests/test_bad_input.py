"""What cannot work says so: a stable reason, words that tell what to do, no retries at full speed, and on by itself.

Time stands still here, so whatever is called again was called because something happened.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from innkeeper.kube.resources import (
    CLUSTERS,
    FLAVORS,
    GUESTS,
    HOSTS,
    IMAGES,
    IP_ADDRESSES,
    IP_POOLS,
    SECRETS,
)
from innkeeper.views.meta import Condition
from innkeeper.workers.explaining import Explainer
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import Document
from tests.kit.waiting import eventually, settled


@pytest.fixture
def scene(frozen_scene: GuestScene) -> GuestScene:
    """Let time stand still."""
    return frozen_scene


def _secret(data: dict[str, str]) -> Document:
    return {"metadata": {"name": "mine"}, "stringData": data}


def _image_failed(scene: GuestScene) -> None:
    condition = objects.ready("False", "DigestMismatch", "the bytes have another digest")
    scene.api.create(IMAGES, objects.image("bad", condition=condition), namespace="default")


def _image_mended(scene: GuestScene) -> None:
    scene.patch_status(IMAGES, "bad", {"conditions": [objects.ready()]}, namespace="default")


def _image_in_the_making(scene: GuestScene) -> None:
    condition = objects.ready("False", "Preparing")
    scene.api.create(IMAGES, objects.image("new", condition=condition), namespace="default")
    scene.patch_status(IMAGES, "new", {"progress": "37%"}, namespace="default")


def _image_made(scene: GuestScene) -> None:
    scene.patch_status(IMAGES, "new", {"conditions": [objects.ready()]}, namespace="default")


def _image_elsewhere(scene: GuestScene) -> None:
    scene.api.create(IMAGES, objects.image("theirs", namespace="kube-system"), namespace="kube-system")


def _image_shared(scene: GuestScene) -> None:
    scene.api.patch(IMAGES, "theirs", {"spec": {"shared": True}}, namespace="kube-system")


def _pool_taken(scene: GuestScene) -> None:
    for last in range(2, 7):
        scene.api.create(IP_ADDRESSES, objects.address(last, owner=objects.guest_id(90 + last)))


def _six(scene: GuestScene, **spec: object) -> None:
    network = {"cidr": "2001:db8::/64", "gateway": None, "dns": [], **spec}
    scene.api.create(IP_POOLS, objects.pool("six", **network))


def _six_anew(scene: GuestScene) -> None:
    scene.api.delete(IP_POOLS, "six")
    _six(scene)


def _pool_grows(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"cidr": "10.7.0.0/28"}})


def _reserve(scene: GuestScene, owner: str) -> None:
    reservation = {"address": "10.7.0.3", "owner": owner, "reason": "it is old"}
    scene.api.patch(IP_POOLS, "lab", {"spec": {"reservations": [reservation]}})


def _address_let_go(scene: GuestScene) -> None:
    scene.api.patch(IP_ADDRESSES, "default.10.7.0.3", {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, "default.10.7.0.3")


def _limited(scene: GuestScene) -> None:
    scene.api.create(IP_ADDRESSES, objects.address(3, owner="somebody"))
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 1}})


def _mac_taken(scene: GuestScene) -> None:
    spec = {
        "interfaces": [{"name": "eth0", "pool": "lab", "mac": "02:00:00:00:00:07"}],
        "priority": 1,  # it is placed first
    }
    scene.api.create(GUESTS, objects.guest("other", number=70, spec=spec), namespace="default")


def _overlapping(scene: GuestScene) -> None:
    made = objects.pool("new")
    made["metadata"]["creationTimestamp"] = "2100-01-01T00:00:00Z"
    scene.api.create(IP_POOLS, made)


BLUE = {"net": "blue"}
CHOOSES_BLUE = {"spec": {"clusterSelector": {"matchLabels": BLUE}}}


def _blue_clusters_alone(scene: GuestScene) -> None:
    scene.api.create(CLUSTERS, objects.cluster())
    scene.api.patch(IP_POOLS, "lab", CHOOSES_BLUE)


def _nothing(_: GuestScene) -> None:
    """The scene lacks it already."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A Guest's spec, what is wrong, how it shows, and what mends it."""

    id: str
    spec: Document
    wrong: Callable[[GuestScene], object] = _nothing
    step: str
    reason: str
    says: tuple[str, ...]
    stalled: bool
    mended: Callable[[GuestScene], object]


CASES = [
    Case(
        id="unknown flavor",
        spec={"flavor": "huge"},
        step="Scheduled",
        reason="FlavorNotFound",
        says=("'huge'", "there are: small"),
        stalled=True,
        mended=lambda scene: scene.api.create(FLAVORS, objects.flavor("huge")),
    ),
    Case(
        id="unknown image",
        spec={"image": {"name": "nowhere"}},
        step="ImageResolved",
        reason="ImageNotFound",
        says=("default/nowhere",),
        stalled=True,
        mended=lambda scene: scene.api.create(IMAGES, objects.image("nowhere"), namespace="default"),
    ),
    Case(
        id="image of another account",
        spec={"image": {"name": "theirs", "namespace": "kube-system"}},
        wrong=_image_elsewhere,
        step="ImageResolved",
        reason="ImageNotShared",
        says=("kube-system/theirs", "spec.shared"),
        stalled=True,
        mended=_image_shared,
    ),
    Case(
        id="image that is still read",
        spec={"image": {"name": "new"}},
        wrong=_image_in_the_making,
        step="ImageResolved",
        reason="ImageNotReady",
        says=("default/new is being read",),
        stalled=False,
        mended=_image_made,
    ),
    Case(
        id="image that failed",
        spec={"image": {"name": "bad"}},
        wrong=_image_failed,
        step="ImageResolved",
        reason="ImageFailed",
        says=("DigestMismatch", "another digest"),
        stalled=True,
        mended=_image_mended,
    ),
    Case(
        id="image larger than the disk",
        spec={"image": {"name": "large"}},
        wrong=lambda scene: scene.api.create(
            IMAGES, objects.image("large", virtual_size="20Gi"), namespace="default"
        ),
        step="ImageResolved",
        reason="ImageLargerThanDisk",
        says=("20Gi", "10Gi", "larger disk"),
        stalled=True,
        mended=lambda scene: scene.api.patch(FLAVORS, "small", {"spec": {"disk": "20Gi"}}),
    ),
    Case(
        id="unknown pool",
        spec={"interfaces": [{"name": "eth0", "pool": "dmz"}]},
        step="AddressesAssigned",
        reason="PoolNotFound",
        says=("'dmz'",),
        stalled=True,
        mended=lambda scene: scene.api.create(
            IP_POOLS, objects.pool("dmz", cidr="10.8.0.0/29", gateway="10.8.0.1")
        ),
    ),
    Case(
        id="pool that cannot be served",
        spec={"interfaces": [{"name": "eth0", "pool": "odd"}]},
        wrong=lambda scene: scene.api.create(
            IP_POOLS, objects.pool("odd", gateway="192.0.2.1", addressSpace="odd")
        ),
        step="AddressesAssigned",
        reason="PoolUnusable",
        says=("gateway", "correct spec.gateway"),
        stalled=True,
        mended=lambda scene: scene.api.patch(IP_POOLS, "odd", {"spec": {"gateway": "10.7.0.1"}}),
    ),
    Case(
        id="no pool with such labels",
        spec={"interfaces": [{"addresses": [{"poolSelector": {"matchLabels": {"net": "blue"}}}]}]},
        step="AddressesAssigned",
        reason="PoolNotFound",
        says=("no IPPool has the labels",),
        stalled=True,
        mended=lambda scene: scene.api.patch(IP_POOLS, "lab", {"metadata": {"labels": {"net": "blue"}}}),
    ),
    Case(
        id="two addresses of one family",
        spec={"interfaces": [{"addresses": [{"pool": "lab"}, {"pool": "lab2"}]}]},
        wrong=lambda scene: scene.api.create(
            IP_POOLS, objects.pool("lab2", cidr="10.8.0.0/29", gateway=None)
        ),
        step="AddressesAssigned",
        reason="PoolsOfOneFamily",
        says=("take one of each family",),
        stalled=True,
        mended=lambda scene: scene.api.patch(
            IP_POOLS, "lab2", {"spec": {"cidr": "2001:db8::/64", "dns": None}}
        ),
    ),
    Case(
        id="addresses of two VLANs",
        spec={"interfaces": [{"addresses": [{"pool": "lab"}, {"pool": "six"}]}]},
        wrong=lambda scene: _six(scene, vlan=7),
        step="AddressesAssigned",
        reason="PoolsOfTwoVlans",
        says=("two VLANs, none of the IPPool 'lab' and 7 of 'six'", "take two interfaces"),
        stalled=True,
        mended=_six_anew,
    ),
    Case(
        id="fixed address outside the pool",
        spec={"interfaces": [{"addresses": [{"pool": "lab", "address": "10.7.0.9"}]}]},
        step="AddressesAssigned",
        reason="AddressOutsidePool",
        says=("10.7.0.9 is no address that the IPPool 'lab' gives",),
        stalled=True,
        mended=_pool_grows,
    ),
    Case(
        id="fixed address that another guest holds",
        spec={"interfaces": [{"addresses": [{"pool": "lab", "address": "10.7.0.3"}]}]},
        wrong=lambda scene: scene.api.create(IP_ADDRESSES, objects.address(3, owner="somebody")),
        step="AddressesAssigned",
        reason="AddressTaken",
        says=("10.7.0.3 is held by the Guest default/web",),
        stalled=True,
        mended=_address_let_go,
    ),
    Case(
        id="address that is reserved for another",
        spec={"interfaces": [{"addresses": [{"pool": "lab", "address": "10.7.0.3"}]}]},
        wrong=lambda scene: _reserve(scene, "the printer"),
        step="AddressesAssigned",
        reason="AddressReserved",
        says=("10.7.0.3 is reserved for somebody else", "the IPPool 'lab'"),
        stalled=True,
        mended=lambda scene: _reserve(scene, "default/web"),
    ),
    Case(
        id="limit of the namespace",
        spec={"interfaces": [{"addresses": [{"pool": "lab"}]}]},
        wrong=_limited,
        step="AddressesAssigned",
        reason="PoolLimitReached",
        says=("namespace default holds 1 addresses of the IPPool 'lab', which is its limit",),
        stalled=False,
        mended=lambda scene: scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 2}}),
    ),
    Case(
        id="MAC of another guest",
        spec={"interfaces": [{"pool": "lab", "mac": "02:00:00:00:00:07"}]},
        wrong=_mac_taken,
        step="AddressesAssigned",
        reason="MacInUse",
        says=("02:00:00:00:00:07", "default/other"),
        stalled=True,
        mended=lambda scene: scene.delete_guest("other"),
    ),
    Case(
        id="pool that overlaps with an older one",
        spec={"interfaces": [{"pool": "new"}]},
        wrong=_overlapping,
        step="AddressesAssigned",
        reason="PoolUnusable",
        says=("are in the older IPPool 'lab'",),
        stalled=True,
        mended=lambda scene: scene.api.patch(IP_POOLS, "new", {"spec": {"addressSpace": "other"}}),
    ),
    Case(
        id="pool of another cluster",
        spec={"placement": {"cluster": "lab"}},
        wrong=lambda scene: scene.api.patch(IP_POOLS, "lab", {"spec": {"clusters": ["other"]}}),
        step="AddressesAssigned",
        reason="PoolNotServingCluster",
        says=("other", "'lab'"),
        stalled=True,
        mended=lambda scene: scene.api.patch(IP_POOLS, "lab", {"spec": {"clusters": ["other", "lab"]}}),
    ),
    Case(
        id="pool that chooses clusters by a label that this one lacks",
        spec={"placement": {"cluster": "lab"}},
        wrong=_blue_clusters_alone,
        step="AddressesAssigned",
        reason="PoolNotServingCluster",
        says=("serves no cluster", "'lab'"),
        stalled=True,
        mended=lambda scene: scene.api.patch(CLUSTERS, "lab", {"metadata": {"labels": BLUE}}),
    ),
    Case(
        id="pool that chooses clusters by a label, and there is none",
        spec={"placement": {"cluster": "lab"}},
        wrong=lambda scene: scene.api.patch(IP_POOLS, "lab", CHOOSES_BLUE),
        step="AddressesAssigned",
        reason="PoolNotServingCluster",
        says=("serves no cluster", "'lab'"),
        stalled=True,
        mended=lambda scene: scene.api.create(CLUSTERS, objects.cluster(labels=BLUE)),
    ),
    Case(
        id="pool without a free address",
        spec={},
        wrong=_pool_taken,
        step="AddressesAssigned",
        reason="PoolExhausted",
        says=("'lab'", "add a range"),
        stalled=False,
        mended=_pool_grows,
    ),
    Case(
        id="no host with these labels",
        spec={"placement": {"hostSelector": {"matchLabels": {"rack": "r9"}}}},
        step="Scheduled",
        reason="NoHostFits",
        says=("0 of 1 hosts fit: 1 is left out by hostSelector",),
        stalled=False,
        mended=lambda scene: scene.add_host("b", labels={"rack": "r9"}, store_id="store-b"),
    ),
    Case(
        id="no host with so much memory",
        spec={"flavor": None, "resources": {"cpu": "1", "memory": "64Gi", "disk": "10Gi"}},
        step="Scheduled",
        reason="NoHostFits",
        says=("1 lacks memory",),
        stalled=False,
        mended=lambda scene: scene.add_host("b", memory="128Gi", store_id="store-b"),
    ),
    Case(
        id="every host closed",
        spec={},
        wrong=lambda scene: scene.api.patch(HOSTS, "a", {"spec": {"unschedulable": True}}),
        step="Scheduled",
        reason="NoHostFits",
        says=("1 is unschedulable",),
        stalled=False,
        mended=lambda scene: scene.api.patch(HOSTS, "a", {"spec": {"unschedulable": False}}),
    ),
]


def said(scene: GuestScene, case: Case) -> Condition:
    """Return Ready once it says all that it should; what it says follows what is seen, kind by kind."""
    ready = scene.condition("Ready")
    assert ready is not None
    assert ready.reason == case.reason
    assert [words for words in case.says if words not in ready.message] == [], ready
    return ready


async def explanation_says_the_same(scene: GuestScene, step: Condition) -> None:
    """What a guest waits for, the explanation names too, whichever hosts fit."""
    subset = scene.operators[0].subset
    found = await Explainer(subset, scene.clock).explain(subset.guests["default", "web"], hosts=["a"])
    assert found.chosen is None
    if found.blocked is None:
        assert (step.reason, step.message) == ("NoHostFits", found.message)
    else:
        told = (found.blocked.step, found.blocked.reason, found.blocked.message)
        assert told == (step.type, step.reason, step.message)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_it_says_what_is_wrong_waits_and_goes_on_by_itself(scene: GuestScene, case: Case) -> None:
    case.wrong(scene)
    # An address that is seen late is a claim that meets another: the guest looks again, but only after a while.
    await scene.seen()
    spec = {key: value for key, value in {"flavor": "small", **case.spec}.items() if value is not None}
    guest = objects.guest(spec=spec)
    if "resources" in spec:
        del guest["spec"]["flavor"]
    scene.api.create(GUESTS, guest, namespace="default")
    ready = await eventually(lambda: said(scene, case))
    assert ready.status == "False"
    assert "Traceback" not in ready.message
    step = scene.condition(case.step)
    assert step is not None
    assert (step.status, step.reason, step.message) == ("False", case.reason, ready.message)
    assert (scene.condition("Stalled") is not None) is case.stalled
    calls = await settled(lambda: len(scene.api.calls))
    assert await settled(lambda: len(scene.api.calls)) == calls, "it tries again though nothing happened"
    await explanation_says_the_same(scene, step)
    assert [each for each in scene.assignments() if each.spec.guest.name == "web"] == []
    promises = scene.operators[0].subset.promises
    assert sum(map(promises.count, scene.hosts)) == len(scene.assignments()), "who waits keeps no room"
    case.mended(scene)
    await scene.until_ready()
    assert scene.condition("Stalled") is None


USER_DATA = {"userData": {"secretName": "mine"}}


@pytest.mark.parametrize(
    ("secret", "reason", "says"),
    [
        (None, "UserDataNotFound", "default/mine is not there: create it"),
        (_secret({"user-data": "#cloud-config"}), "UserDataNotFound", "no key userData"),
        (_secret({"userData": "x" * 65537}), "UserDataTooLarge", "65536 are allowed"),
    ],
    ids=["no Secret", "no such key", "too large"],
)
async def test_user_data_that_cannot_be_used(
    scene: GuestScene, secret: Document | None, reason: str, says: str
) -> None:
    if secret is not None:
        scene.api.create(SECRETS, secret, namespace="default")
    scene.add_guest(spec=USER_DATA)
    ready = await scene.until_reason(reason)
    assert says in ready.message
    assert scene.condition("Stalled") is not None
    assert scene.assignments() == [], "no host hears of a guest whose data are missing"
    calls = await settled(lambda: len(scene.api.calls))
    assert await settled(lambda: len(scene.api.calls)) == calls
    if secret is None:
        scene.api.create(SECRETS, _secret({"userData": "#cloud-config"}), namespace="default")
    else:
        change = {"data": None, "stringData": {"userData": "#cloud-config"}}
        scene.api.patch(SECRETS, "mine", change, namespace="default")
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(20)  # Secrets are not watched, they are looked at again
    await scene.until_ready()
    assert scene.condition("Stalled") is None


async def test_names_with_odd_characters_reach_the_host_as_they_are(scene: GuestScene) -> None:
    scene.add_guest("x--9", number=None, labels={"a.example/b": "C_d.e"}, annotations={"note": "ünï ' \" \n"})
    found = await scene.until_ready("x--9")
    order = scene.hosts["a"].running[found.metadata.uid]
    assert order.annotations["note"] == "ünï ' \" \n"


async def test_a_guest_whose_order_is_too_large_says_so_and_goes_on_when_it_is_shortened(
    scene: GuestScene,
) -> None:
    """Quotes in annotations are escaped twice on their way: what one object holds, the other may not."""
    scene.add_guest(annotations={"note": '"' * 200_000})
    ready = await scene.until_reason("OrderTooLarge")
    assert "shorten the Guest's annotations" in ready.message
    assert scene.condition("Stalled") is not None
    assert scene.assignments() == []
    calls = await settled(lambda: len(scene.api.calls))
    assert await settled(lambda: len(scene.api.calls)) == calls
    scene.patch_guest({"metadata": {"annotations": {"note": "short"}}})
    await scene.until_ready()
    assert scene.condition("Stalled") is None
