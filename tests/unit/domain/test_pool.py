"""What an IPPool may give, and in which order it is asked for."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper.domain.addressing.pool import PoolInvalidError, understand
from innkeeper.views.network import AddressRange, IPPoolSpec


def addresses(**spec: object) -> list[str]:
    pool = understand(IPPoolSpec(**{"cidr": "10.7.0.0/29", **spec}))  # type: ignore[arg-type] # a test's own short form
    return sorted(pool.candidates("g", "eth0"))


def last(numbers: list[int]) -> list[str]:
    return [f"10.7.0.{number}" for number in numbers]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"gateway": "10.7.0.1"}, [2, 3, 4, 5, 6]),
        ({"exclude": ["10.7.0.3", "10.7.0.4/31"]}, [1, 2, 6]),
        ({"ranges": [AddressRange(start="10.7.0.0", end="10.7.0.2")]}, [1, 2]),
        (
            {
                "ranges": [
                    AddressRange(start="10.7.0.4", end="10.7.0.7"),
                    AddressRange(start="10.7.0.3", end="10.7.0.5"),
                ]
            },
            [3, 4, 5, 6],
        ),
        ({"cidr": "10.7.0.0/31"}, []),
        ({"cidr": "10.7.0.0/32"}, []),
        ({"cidr": "10.7.0.0/30", "exclude": ["10.7.0.0/24"]}, []),
    ],
)
def test_only_what_may_be_given_is_given(spec: dict[str, object], expected: list[int]) -> None:
    assert addresses(**spec) == last(expected)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"gateway": "192.0.2.1"}, "correct spec.gateway"),
        ({"ranges": [AddressRange(start="10.7.0.5", end="10.7.0.2")]}, "swap start and end"),
        ({"ranges": [AddressRange(start="10.7.0.5", end="10.7.1.2")]}, "correct spec.ranges"),
        ({"cidr": "10.7.0.1/29"}, "host bits"),
        ({"cidr": "2001:db8::/64"}, "IPv4|Expected|Only"),
        ({"quarantine": "soon"}, "5m"),
        ({"exclude": ["nonsense"]}, "nonsense"),
    ],
)
def test_a_pool_that_cannot_be_served_says_why(spec: dict[str, object], says: str) -> None:
    with pytest.raises(PoolInvalidError, match=says):
        addresses(**spec)


@settings(deadline=None, max_examples=40)  # a busy machine is slow, not wrong
@given(
    st.integers(min_value=20, max_value=30),
    st.lists(st.integers(min_value=0, max_value=4095), max_size=20),
    st.text(max_size=20),
)
def test_each_address_comes_once_and_all_do(prefix: int, holes: list[int], guest: str) -> None:
    exclude = [f"10.0.{hole // 256}.{hole % 256}" for hole in holes]
    pool = understand(IPPoolSpec(cidr=f"10.0.0.0/{prefix}", exclude=exclude, gateway="10.0.0.1"))
    found = list(pool.candidates(guest, "eth0"))
    assert len(found) == len(set(found)) == pool.total
    assert all(pool.contains(each) for each in found)
    never = {*exclude, "10.0.0.1", str(pool.network.network_address), str(pool.network.broadcast_address)}
    assert never.isdisjoint(found)
    assert found == list(pool.candidates(guest, "eth0")), "a second run asks for the same first"


def test_guests_and_interfaces_begin_at_different_places() -> None:
    pool = understand(IPPoolSpec(cidr="10.0.0.0/16"))
    first = {next(pool.candidates(f"g{number}", "eth0")) for number in range(200)}
    assert len(first) > 190
    assert next(pool.candidates("g", "eth0")) != next(pool.candidates("g", "eth1"))


def test_a_huge_pool_makes_no_list() -> None:
    started = time.process_time()
    pool = understand(IPPoolSpec(cidr="10.0.0.0/8", gateway="10.0.0.1"))
    assert len(list(itertools.islice(pool.candidates("g", "eth0"), 100))) == 100
    assert time.process_time() - started < 0.5
