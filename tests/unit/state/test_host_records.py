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
    assert records.tombstone("dead") == Rank(3, 4)
    records.forget("b")
    assert records.tombstone("dead") is None
    assert records.oldest_at() is None


def test_an_end_that_was_told_elsewhere_is_noted() -> None:
    records = HostRecords()
    records.replace("a", record("g1"))
    records.note_end("a", "g1", Rank(2, 1))
    records.note_end("b", "g1", Rank(9, 1))
    assert records.holders("g1") == {}
    assert records.tombstone("g1") == Rank(2, 1)
