"""What an IPPool may give, and in which order it is asked for."""

import ipaddress
import itertools
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from innkeeper.domain.addressing import overlaps as overlapping
from innkeeper.domain.addressing.intervals import united
from innkeeper.domain.addressing.overlaps import overlaps
from innkeeper.domain.addressing.pool import Pool, PoolInvalidError, number_of, understand
from innkeeper.domain.addressing.search import count_free, free_addresses, has_free
from innkeeper.domain.addressing.taken import Taken
from innkeeper.views.network import AddressRange, IPPoolSpec, Reservation


def a_pool(**spec: object) -> Pool:
    return understand(IPPoolSpec(**{"cidr": "10.7.0.0/29", **spec}))  # type: ignore[arg-type] # a test's own short form


def claimed(
    pool: Pool, guest: str = "g", interface: str = "eth0", taken: Taken | None = None
) -> Iterator[str]:
    """Yield what a guest gets that claims everything that it is offered."""
    mine = taken or Taken()
    for address in free_addresses(pool, mine, guest_id=guest, interface=interface):
        mine.add(number_of(address)[1])
        yield address


def last(numbers: list[int]) -> list[str]:
    return [f"10.7.0.{number}" for number in numbers]


RESERVED = [Reservation(address="10.7.0.5", owner="default/web", reason="it was always so")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"gateway": "10.7.0.1"}, [2, 3, 4, 5, 6]),
        ({"exclude": ["10.7.0.3", "10.7.0.4/31"]}, [1, 2, 6]),
        ({"reservations": RESERVED}, [1, 2, 3, 4, 6]),
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
        ({"cidr": "10.7.0.0/30", "exclude": ["10.7.0.0/24"]}, []),
    ],
)
@pytest.mark.parametrize("order", ["Random", "Lowest"])
def test_only_what_may_be_given_is_given(spec: dict[str, object], expected: list[int], order: str) -> None:
    found = list(claimed(a_pool(order=order, **spec)))
    assert sorted(found) == last(expected)
    assert order == "Random" or found == last(expected)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"gateway": "192.0.2.1"}, "correct spec.gateway"),
        ({"gateway": "fe80::1"}, "correct spec.gateway"),
        ({"ranges": [AddressRange(start="10.7.0.5", end="10.7.0.2")]}, "swap start and end"),
        ({"ranges": [AddressRange(start="10.7.0.5", end="10.7.1.2")]}, "correct spec.ranges"),
        ({"cidr": "2001:db8::/64", "ranges": [AddressRange(start="2001:db8::5", end="2001:db8::2")]}, "swap"),
        ({"cidr": "10.7.0.1/29"}, "host bits"),
        ({"cidr": "10.7.0.0/31"}, "must be from /8 to /30"),
        ({"cidr": "10.7.0.0/32"}, "must be from /8 to /30"),
        ({"cidr": "0.0.0.0/0"}, "must be from /8 to /30"),
        ({"cidr": "2001:db8::/127"}, "must be from /32 to /126"),
        ({"cidr": "::/0"}, "must be from /32 to /126"),
        ({"quarantine": "soon"}, "5m"),
        ({"exclude": ["nonsense"]}, "nonsense"),
        ({"exclude": ["2001:db8::1"]}, "correct spec.exclude"),
        ({"reservations": [Reservation(address="10.8.0.1", owner="o")]}, "correct spec.reservations"),
        (
            {
                "cidr": "2001:db8::/64",
                "reservations": [
                    Reservation(address="2001:db8::5", owner="default/web"),
                    Reservation(address="2001:DB8:0::5", owner="default/other"),
                ],
            },
            "2001:db8::5 is reserved twice.*one of them from spec.reservations",
        ),
    ],
)
def test_a_pool_that_cannot_be_served_says_why(spec: dict[str, object], says: str) -> None:
    with pytest.raises(PoolInvalidError, match=says):
        a_pool(**spec)


@settings(max_examples=40)
@given(
    st.integers(min_value=20, max_value=30),
    st.lists(st.integers(min_value=0, max_value=4095), max_size=20),
    st.text(max_size=20),
    st.sampled_from(["Random", "Lowest"]),
)
def test_each_address_comes_once_and_all_do(prefix: int, holes: list[int], guest: str, order: str) -> None:
    exclude = [f"10.0.{hole // 256}.{hole % 256}" for hole in holes]
    pool = a_pool(cidr=f"10.0.0.0/{prefix}", exclude=exclude, gateway="10.0.0.1", order=order)
    taken = Taken()
    found = list(claimed(pool, guest, taken=taken))
    assert len(found) == len(set(found)) == pool.total
    assert all(pool.gives(number_of(each)) for each in found)
    never = {*exclude, "10.0.0.1", str(pool.network.network_address), str(pool.network.broadcast_address)}
    assert never.isdisjoint(found)
    assert found == list(claimed(pool, guest)), "a second run asks for the same first"
    assert not has_free(pool, taken)
    if found:
        taken.discard(number_of(found[0])[1])
        assert has_free(pool, taken)
        assert count_free(pool, taken, most=2) == 1
        assert list(claimed(pool, "another", taken=taken)) == [found[0]], "a freed address is found again"


@given(
    st.sets(st.integers(min_value=0, max_value=1500)),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 1500)), max_size=3),
    st.integers(min_value=0, max_value=2000),
)
def test_free_numbers_are_counted_as_if_one_by_one(
    numbers: set[int], ends: list[tuple[int, int]], most: int
) -> None:
    taken = Taken()
    for number in numbers:
        taken.add(number)
    intervals = united((min(pair), max(pair)) for pair in ends)
    assert taken.count_free(intervals, most=most) == min(most, len(list(taken.free(intervals))))


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.lists(st.integers(-1, 300), min_size=3, max_size=5).map(lambda octets: ".".join(map(str, octets))),
        st.text(alphabet="0123456789.:af\u0661 ", max_size=16),
    )
)
@example("10.0.0.01")
@example("10.0.0.256")
@example("1\u0660.0.0.1")
def test_an_address_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        wanted = ipaddress.ip_address(text)
    except ValueError:
        with pytest.raises(ValueError, match="address"):
            number_of(text)
    else:
        assert number_of(text) == (wanted.version, int(wanted))


@settings(max_examples=60)
@given(
    st.sets(st.integers(min_value=0, max_value=1500)),
    st.integers(min_value=0, max_value=1500),
    st.integers(min_value=0, max_value=600),
)
def test_the_first_free_number_is_that_of_a_plain_search(numbers: set[int], first: int, length: int) -> None:
    taken = Taken()
    for number in numbers:
        taken.add(number)
        taken.add(number + 5000)
        taken.discard(number + 5000)
    plain = next((each for each in range(first, first + length) if each not in numbers), None)
    assert next(taken.free([(first, first + length - 1)]), None) == plain


def test_guests_that_look_in_a_full_pool_do_not_run_for_one_address() -> None:
    """The free ones lie together at the pool's end; whoever walks there first meets the same one."""
    pool, taken = a_pool(cidr="10.7.0.0/17"), Taken()
    free = {number_of("10.7.127.254")[1] - each for each in range(32)}
    for number in range(number_of("10.7.0.1")[1], number_of("10.7.127.254")[1] + 1):
        if number not in free:
            taken.add(number)
    first = [next(free_addresses(pool, taken, guest_id=f"g{n}", interface="eth0")) for n in range(32)]
    assert len(set(first)) > 16, "32 picks at random of 32 are about 20 different ones"
    assert {number_of(each)[1] for each in first} <= free
    assert len(list(claimed(pool, taken=taken))) == 32


def test_guests_and_interfaces_begin_at_different_places() -> None:
    pool = a_pool(cidr="10.0.0.0/16")
    first = {next(claimed(pool, f"g{number}")) for number in range(200)}
    assert len(first) > 190
    assert next(claimed(pool, "g", "eth0")) != next(claimed(pool, "g", "eth1"))


def test_who_does_not_note_what_became_of_an_address_is_not_led_in_a_circle() -> None:
    pool = a_pool()
    assert len(list(itertools.islice(free_addresses(pool, Taken(), guest_id="g", interface="eth0"), 50))) < 50


def test_of_ipv6_neither_the_routers_address_nor_reserved_anycast_is_given() -> None:
    pool = a_pool(cidr="2001:db8::/64", gateway="fe80::1")
    assert not pool.gives(number_of("2001:db8::"))
    assert pool.gives(number_of("2001:db8::1"))
    assert pool.gives(number_of("2001:db8::ffff:ffff:ffff:ff7f"))
    assert not pool.gives(number_of("2001:db8::ffff:ffff:ffff:ff80")), "RFC 2526"
    assert not pool.gives(number_of("10.7.0.1"))


def test_a_reservation_is_its_owners_alone() -> None:
    pool = a_pool(reservations=[*RESERVED, Reservation(address="10.7.0.7", owner="default/web", reason="no")])
    assert pool.reserved_for("default/web") == [number_of("10.7.0.5")[1]], "a broadcast address stays one"
    assert pool.reserved_for("default/other") == []
    assert (pool.gives(number_of("10.7.0.5")), pool.contains(number_of("10.7.0.5"))) == (False, True)


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "2001:db8::/64"])
def test_a_huge_pool_makes_no_list(cidr: str) -> None:
    started = time.process_time()
    assert len(list(itertools.islice(claimed(a_pool(cidr=cidr)), 100))) == 100
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "2001:db8::/64"])
def test_a_huge_pool_costs_as_little_memory_as_a_small_one(cidr: str) -> None:
    tracemalloc.start()
    pool, taken = a_pool(cidr=cidr), Taken()
    assert len(list(itertools.islice(claimed(pool, taken=taken), 300))) == 300
    assert has_free(pool, taken)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 2**20


NETWORKS = [
    "10.7.0.0/28",
    "10.7.0.0/29",
    "10.7.0.8/29",
    "10.7.0.0/30",
    "10.7.0.4/30",
    "10.7.0.12/30",
    "2001:db8::/124",
]
SOME_POOLS = st.lists(
    st.builds(
        lambda cidr, start, length, gateway, **spec: a_pool(
            cidr=cidr,
            ranges=[AddressRange(start=inside(cidr, start), end=inside(cidr, start + length))],
            gateway=gateway and inside(cidr, gateway),
            **spec,
        ),
        cidr=st.sampled_from(NETWORKS),
        start=st.integers(min_value=0, max_value=15),
        length=st.integers(min_value=0, max_value=3),
        gateway=st.none() | st.integers(min_value=1, max_value=15),
        address_space=st.sampled_from(["default", "other"]),
        vlan=st.sampled_from([None, 5]),
        clusters=st.sets(st.sampled_from(["a", "b"])).map(sorted),
    ),
    max_size=12,
)


def inside(cidr: str, number: int) -> str:
    """Return an address of a network: its last one, if it has no such number."""
    network = ipaddress.ip_network(cidr)
    return str(network[min(number, network.num_addresses - 1)])


def numbers_of(intervals: tuple[tuple[int, int], ...]) -> set[int]:
    return {number for first, last in intervals for number in range(first, last + 1)}


def meet_plainly(pool: Pool, older: Pool) -> bool:
    """Tell whether two pools overlap, address by address."""
    is_one_network = pool.vlan == older.vlan and bool(pool.clusters & older.clusters)
    if pool.version != older.version or not (pool.space == older.space or is_one_network):
        return False
    given, older_given = numbers_of(pool.intervals), numbers_of(older.intervals)
    kept, older_kept = numbers_of(pool.of_network), numbers_of(older.of_network)
    return bool(given & older_given or kept & older_given or given & older_kept)


@settings(max_examples=300)
@given(SOME_POOLS)
def test_overlaps_are_those_that_a_look_at_every_two_pools_finds(pools: list[Pool]) -> None:
    serving: dict[str, Pool] = {}
    plain = {}
    for name, pool in ((f"p{age}", pool) for age, pool in enumerate(pools)):
        oldest = next((other for other, older in serving.items() if meet_plainly(pool, older)), None)
        if oldest is None:
            serving[name] = pool
        else:
            plain[name] = oldest
    found = overlaps((f"p{age}", pool) for age, pool in enumerate(pools))
    assert {name: each.other for name, each in found.items()} == plain


def test_only_pools_whose_networks_intersect_where_they_may_meet_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    monkeypatch.setattr(overlapping, "shared", lambda one, other: compared.append((one, other)))
    apart = [
        (f"p{n}", a_pool(cidr=f"10.{n // 256}.{n % 256}.0/24", clusters=["c"], vlan=5)) for n in range(1000)
    ]
    alike = [(f"s{n}", a_pool(address_space=f"s{n}", clusters=["c"], vlan=n + 1)) for n in range(1000)]
    assert overlaps([*apart, *alike]) == {}
    assert compared == []
    around = ("around", a_pool(cidr="10.0.0.0/16"))
    assert overlaps([*apart, around]) == {}
    assert len(compared) == 3 * 256, "given and given, and twice given and kept, with those in its network"


def test_pools_overlap_only_where_both_would_give_an_address_of_one_space() -> None:
    low = [AddressRange(start="10.7.0.1", end="10.7.0.3")]
    pools = {
        "low": a_pool(ranges=low),
        "high": a_pool(exclude=["10.7.0.0/30"]),
        "other-space": a_pool(address_space="other"),
        "ipv6": a_pool(cidr="2001:db8::/64"),
        "both": a_pool(ranges=[AddressRange(start="10.7.0.3", end="10.7.0.4")]),
    }
    found = overlaps(pools.items())
    assert set(found) == {"both"}
    assert (found["both"].other, found["both"].first, found["both"].last) == ("low", "10.7.0.3", "10.7.0.3")


def test_pools_of_two_spaces_overlap_where_their_guests_meet() -> None:
    """One cluster and one VLAN are one network; who serves by labels, or everybody, is not looked at."""
    pools = {
        "first": a_pool(clusters=["a", "b"], vlan=5),
        "same-network": a_pool(clusters=["b"], vlan=5, address_space="other"),
        "other-vlan": a_pool(clusters=["b"], vlan=6, address_space="other"),
        "other-cluster": a_pool(clusters=["c"], vlan=5, address_space="third"),
        "everywhere": a_pool(vlan=5, address_space="fourth"),
    }
    found = overlaps(pools.items())
    assert set(found) == {"same-network"}
    assert "serves the Cluster 'b' in the same VLAN" in str(found["same-network"])


@pytest.mark.parametrize("address", ["10.7.0.0", "10.7.0.7", "10.7.0.1"], ids=["first", "last", "gateway"])
@pytest.mark.parametrize("larger_is_older", [True, False])
def test_pools_overlap_where_one_gives_what_the_network_of_the_other_keeps(
    address: str, *, larger_is_older: bool
) -> None:
    only = [AddressRange(start=address, end=address)]
    larger = a_pool(
        cidr="10.7.0.0/16", gateway="10.7.255.254", ranges=[AddressRange(start="10.7.1.0", end="10.7.1.9")]
    )
    assert overlaps([("larger", larger), ("small", a_pool())]) == {}
    larger = a_pool(cidr="10.0.0.0/8", gateway="10.255.255.254", ranges=only)
    pools = [("larger", larger), ("small", a_pool(gateway="10.7.0.1"))]
    found = overlaps(pools if larger_is_older else reversed(pools))
    [(name, overlap)] = found.items()
    assert name == ("small" if larger_is_older else "larger")
    assert str(overlap).startswith(
        f"{address} is the first, last or gateway address of one network and given by the other"
    )
