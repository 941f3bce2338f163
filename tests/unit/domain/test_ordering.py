"""With which rank an order is signed: above all that the host holds, and not at all where nothing changed."""

from typing import Any

import msgspec
import pytest

from innkeeper.domain import names
from innkeeper.domain.addressing.pool import understand
from innkeeper.domain.lifecycle.ordering import (
    Ingredients,
    bound_addresses,
    compose,
    is_outdated,
    next_rank,
    to_destroy,
)
from innkeeper.domain.orders import Order, OrderImage, Rank
from innkeeper.domain.reasons import Desired
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest, UserData
from innkeeper.views.network import IPPoolSpec
from tests.kit import objects
from tests.kit.objects import DIGEST, GUEST_ID, view

IMAGE = OrderImage(
    namespace="default",
    name="debian",
    url="http://images",
    digest=DIGEST,
    format="qcow2",
    size=1,
    virtual_size=2,
)


def guest(*, epoch: int = 1, power: str = "Running", **metadata: Any) -> Guest:
    about: dict[str, Any] = {"uid": GUEST_ID, "generation": 1} | metadata
    document = objects.guest(
        spec={"power": power},
        status={
            "host": "a",
            "epoch": epoch,
            "resources": {"cpu": "1", "memory": "1Gi", "disk": "10Gi"},
            "addresses": [
                {"interface": "eth0", "pool": "lab", "address": "10.7.0.2", "mac": "02:00:00:00:00:01"}
            ],
        },
        **about,
    )
    return view(document, Guest)


def ingredients(**changes: Any) -> Ingredients:
    base: dict[str, Any] = {
        "guest_id": GUEST_ID,
        "store_id": "store-1",
        "host": "a",
        "addresses": (),
        "image": IMAGE,
    }
    return Ingredients(**base | changes)


def order(found: Guest, *, rank: tuple[int, int] = (1, 1), **changes: Any) -> Order:
    return compose(found, ingredients(**changes), rank=Rank(*rank))


def assignment(
    rank: tuple[int, int], *, held: tuple[int, int] | None, outcome: str = "Accepted"
) -> Assignment:
    status = {"outcome": outcome, "held": {"epoch": held[0], "serial": held[1]}} if held else {}
    return view(objects.assignment(rank=rank, status=status), Assignment)


@pytest.mark.parametrize(
    ("signed", "held", "outcome", "epoch", "changed", "expected"),
    [
        (None, None, "", 1, False, (1, 1)),  # a first order
        (None, None, "", 4, False, (4, 1)),  # a first order on another host
        ((1, 1), None, "", 1, False, None),  # it stands, unanswered
        ((1, 1), (1, 1), "Accepted", 1, False, None),
        ((1, 1), (1, 1), "Accepted", 1, True, (1, 2)),
        ((1, 3), (1, 1), "Accepted", 1, True, (1, 4)),  # the host lags
        ((1, 1), (1, 5), "Superseded", 1, False, (1, 6)),  # made again from nothing
        ((1, 1), (3, 5), "Superseded", 1, False, (3, 6)),  # the epoch was lost with the API server
        ((1, 1), (1, 1), "Superseded", 1, False, (1, 2)),  # same rank, other content
        ((1, 6), (1, 5), "Superseded", 1, False, None),  # signed above already; not answered yet
        ((1, 3), (1, 3), "Refused", 2, False, (2, 1)),  # the same host in the next epoch
        ((1, 3), (2, 2), "Superseded", 2, False, (2, 3)),
        ((3, 1), (3, 1), "Accepted", 1, False, None),  # higher than the Guest's epoch, and good
        ((3, 1), (3, 1), "Accepted", 1, True, (3, 2)),
        (None, (1, 7), "Invalid", 1, False, (1, 8)),  # what stands there cannot be read
    ],
)
def test_the_next_rank(
    signed: tuple[int, int] | None,
    held: tuple[int, int] | None,
    outcome: str,
    epoch: int,
    *,
    changed: bool,
    expected: tuple[int, int] | None,
) -> None:
    found = guest(epoch=epoch)
    stands = order(found, rank=signed) if signed else None
    wanted = order(guest(epoch=epoch, power="Stopped") if changed else found)
    there = assignment(signed or (1, 1), held=held, outcome=outcome) if signed or held else None
    rank = next_rank(found, there, wanted=wanted, signed=stands)
    assert rank == (Rank(*expected) if expected else None)
    if rank is not None and held is not None:
        assert rank > Rank(*held), "a host obeys only what is above what it holds"


@pytest.mark.parametrize(
    "changes",
    [
        {"power": "Stopped"},
        {"labels": {"team": "blue"}},
        {"annotations": {"note": "x"}},
        {"generation": 2},
    ],
)
def test_what_a_host_has_to_know_changes_the_order(changes: dict[str, Any]) -> None:
    assert order(guest(**changes)) != order(guest())


@pytest.mark.parametrize(
    "changes",
    [
        {"resourceVersion": "99"},
        {"finalizers": [names.GUEST_FINALIZER]},
        {"annotations": {names.FORCE_DELETE_ANNOTATION: "x"}},
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        {"annotations": {names.ARGO_TRACKING_ANNOTATION: "shop:innkeeper.dev/Guest:default/web"}},
    ],
)
def test_what_concerns_no_host_changes_nothing(changes: dict[str, Any]) -> None:
    assert order(guest(**changes)) == order(guest())


def test_an_order_says_all_that_the_binding_holds() -> None:
    pools = {"lab": understand(IPPoolSpec(cidr="10.7.0.0/29", gateway="10.7.0.1", dns=["10.7.0.1"]))}
    [address] = bound_addresses(guest(), pools)
    assert (address.address, address.prefix_length, address.gateway) == ("10.7.0.2", 29, "10.7.0.1")
    made = order(guest(), rank=(2, 3), addresses=(address,))
    assert (made.host, made.store_id, made.guest_id, made.desired) == ("a", "store-1", GUEST_ID, "Running")
    assert (made.epoch, made.serial, made.addresses, made.image) == (2, 3, [address], IMAGE)
    assert made.resources.cpu_millis == 1000
    assert made.user_data_secret is None


def test_an_order_to_destroy_needs_no_image() -> None:
    made = order(guest(power="Stopped"), ending=Desired.DESTROYED)
    assert (made.desired, made.image) == ("Destroyed", None)


@pytest.mark.parametrize("user_data", [UserData(inline="#cloud-config"), UserData(secret_name="mine")])
def test_a_host_is_told_no_user_data_of_a_guest_that_it_is_to_destroy(user_data: UserData) -> None:
    """It keeps the order with the tombstone, long after the guest."""
    found = guest()
    found = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, user_data=user_data))
    stands = order(found, user_data_digest=DIGEST)
    assert stands.spec.user_data == user_data
    ends = [
        order(found, ending=Desired.DESTROYED),
        to_destroy(stands, assignment((1, 1), held=(1, 1)), store_id="store-1"),
    ]
    for end in ends:
        assert (end.spec.user_data, end.user_data_secret, end.user_data_digest) == (None, None, None)
        assert msgspec.structs.replace(end.spec, user_data=user_data) == found.spec, "all else is told"


def test_an_older_version_of_the_guest_signs_nothing() -> None:
    newer = order(guest(generation=3, power="Stopped"))
    assert is_outdated(guest(generation=2), GUEST_ID, newer, destroy=False)
    assert not is_outdated(guest(generation=3), GUEST_ID, newer, destroy=False)
    assert not is_outdated(guest(generation=2), GUEST_ID, None, destroy=False)
    assert not is_outdated(guest(generation=1, uid="another"), GUEST_ID, newer, destroy=False), "made anew"


def test_one_that_was_caught_up_with_an_order_is_no_older_than_it() -> None:
    newer = order(guest(generation=3, power="Stopped"))
    own, copied = f"{GUEST_ID}/1.1", "another/1.1"
    for mark, is_older in ((own, False), (copied, True), ("1.1", True), (f"{GUEST_ID}/1.0", True)):
        here = guest(generation=2, annotations={names.CAUGHT_UP_ANNOTATION: mark})
        assert is_outdated(here, GUEST_ID, newer, destroy=False) is is_older, mark


def test_nobody_signs_over_an_order_to_destroy_but_who_destroys() -> None:
    destroyed = order(guest(), ending=Desired.DESTROYED)
    assert is_outdated(guest(generation=9), GUEST_ID, destroyed, destroy=False)
    assert not is_outdated(guest(), GUEST_ID, destroyed, destroy=True)
