"""Records in a file are used whole or not at all, and what is taken later does not change what is being written."""

import pytest

from innkeeper.domain.orders import Rank
from innkeeper.state import host_records
from innkeeper.state.host_records import (
    Cursor,
    HeldGuest,
    HostRecord,
    HostRecords,
    RecordsDamagedError,
)

GUEST = HeldGuest("default", "web", Rank(1, 2), "Running", "Accepted", "text")


def record(*guests: str, seq: int = 1, asked_at: float = 5.0) -> HostRecord:
    return HostRecord(Cursor("store", seq), asked_at, dict.fromkeys(guests, GUEST), {"dead": Rank(3, 4)})


CONTENT = host_records.encode({"a": record("g1", "g2")})


@pytest.mark.parametrize("at", [0, len(host_records.MAGIC) + 3, len(CONTENT) - 1])
def test_a_changed_byte_is_found(at: int) -> None:
    damaged = CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :]
    with pytest.raises(RecordsDamagedError):
        host_records.decode(damaged)


@pytest.mark.parametrize("length", [0, 1, 40, len(CONTENT) - 1])
def test_a_cut_file_is_found(length: int) -> None:
    with pytest.raises(RecordsDamagedError):
        host_records.decode(CONTENT[:length])


def test_all_that_is_written_is_read() -> None:
    kept = record("g1")
    kept.foreign.add("g2")
    assert host_records.decode(host_records.encode({"a": kept})) == {"a": kept}


def test_what_is_written_does_not_change_meanwhile() -> None:
    records = HostRecords()
    records.replace("a", record("g1"))
    state = records.state()
    strange = record("g2", seq=9)
    strange.foreign.add("g3")
    records.change("a", strange, named=["g1", "g2", "g3", "dead"])
    assert state["a"].foreign == set()
    assert set(state["a"].guests) == {"g1"}
    assert state["a"].cursor.seq == 1


def test_a_guest_that_two_hosts_hold_is_found_at_both() -> None:
    records = HostRecords()
    records.replace("a", record("g1", asked_at=7.0))
    records.replace("b", record("g1", asked_at=6.0))
    assert set(records.holders("g1")) == {"a", "b"}
    assert records.oldest_at() == 6.0
    records.forget("a")
    assert set(records.holders("g1")) == {"b"}
    assert records.is_over("dead", "b", Rank(3, 3))
    records.forget("b")
    assert not records.is_over("dead", "b", Rank(3, 3))
    assert records.oldest_at() is None


def test_an_end_that_was_told_elsewhere_is_noted() -> None:
    records = HostRecords()
    records.replace("a", record("g1"))
    records.note_end("a", "g1", Rank(2, 1))
    records.note_end("b", "g1", Rank(9, 1))
    assert records.holders("g1") == {}
    assert records.is_over("g1", "a", Rank(1, 1))
    assert not records.is_over("g1", "a", Rank(2, 1))


@pytest.mark.parametrize(
    ("host", "rank", "is_over"),
    [
        ("a", Rank(3, 3), True),
        ("a", Rank(3, 4), False),  # a later order than the one that ended it
        ("b", Rank(2, 9), True),
        ("b", Rank(3, 1), False),  # that epoch is its own: the other one kept a disk
    ],
)
def test_a_guest_is_over_where_it_was_destroyed_and_elsewhere_by_a_later_epoch_alone(
    host: str, rank: Rank, *, is_over: bool
) -> None:
    records = HostRecords()
    records.replace("a", record("g1"))
    records.replace("b", HostRecord(Cursor("store-b", 1), 1.0, {}, {}))
    assert records.is_over("dead", host, rank) is is_over
