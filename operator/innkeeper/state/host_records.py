"""What hosts were heard to hold: for each host how far its change log was read, its guests and its tombstones.

A cache of the hosts' own stores, which are the canonical record: to lose it costs a snapshot of each host. It is fed by
whoever reads hosts, checks nothing itself, and can be kept in a file that is used whole or not at all.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from innkeeper.domain.orders import Rank

V = TypeVar("V")

MAGIC = b"innkeeper-host-records\n"
FORM = 2  # of the file
_DIGEST = 32


class RecordsDamagedError(Exception):
    """The bytes are no records, or not whole."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """How far one store's change log was read."""

    store_id: str
    seq: int


class HeldGuest(msgspec.Struct, frozen=True, array_like=True):
    """A guest that a host holds, by an order that is ours.

    `text` is the signed order; None where an Assignment carried the very same one when the host was heard.
    """

    namespace: str
    name: str
    rank: Rank
    desired: str
    outcome: str
    text: str | None = None
    since: str | None = None  # when the host promised to run it, by its own word


class HostRecord(msgspec.Struct, array_like=True):
    """One host as it was heard last; `asked_at` is when it was asked, as a Unix time in seconds.

    `foreign` are the Guest IDs of what it holds by orders that are not ours: nothing of it counts, but that it is there.
    """

    cursor: Cursor
    asked_at: float
    guests: dict[str, HeldGuest]
    tombstones: dict[str, Rank]
    foreign: set[str] = set()


class HostRecords:
    """Every host's record, and who holds which guest."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostRecord] = {}
        # Guest ID -> hosts with a guest or a tombstone.
        self._holders: defaultdict[str, set[str]] = defaultdict(set)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._hosts))

    def __len__(self) -> int:
        return len(self._hosts)

    def of(self, host: str) -> HostRecord | None:
        """Return what is known of a host."""
        return self._hosts.get(host)

    def holders(self, guest_id: str) -> dict[str, HeldGuest]:
        """Return who holds a guest, by host."""
        found = {host: self._hosts[host].guests.get(guest_id) for host in self._holders.get(guest_id, ())}
        return {host: each for host, each in found.items() if each is not None}

    def is_over(self, guest_id: str, host: str, rank: Rank) -> bool:
        """Tell whether a guest that `host` has by the order of a rank was destroyed since: there, or elsewhere later on.

        In one epoch a guest has one host: what another one destroyed in it is what that one kept, a disk.
        """
        for other in self._holders.get(guest_id, ()):
            end = self._hosts[other].tombstones.get(guest_id)
            if end is not None and (end > rank if other == host else end.epoch > rank.epoch):
                return True
        return False

    def guests(self) -> Iterator[tuple[str, str, HeldGuest]]:
        """Yield every held guest as (host, Guest ID, guest); records may change meanwhile."""
        for host in self:
            record = self._hosts.get(host)
            for guest_id, guest in list(record.guests.items()) if record else ():
                yield host, guest_id, guest

    def oldest_at(self) -> float | None:
        """Return when the host was asked whose record is the oldest, as a Unix time."""
        return min((each.asked_at for each in self._hosts.values()), default=None)

    def replace(self, host: str, record: HostRecord) -> None:
        """Take all that a host holds."""
        self.forget(host)
        self._hosts[host] = record
        for guest_id in (*record.guests, *record.tombstones):
            self._holders[guest_id].add(host)

    def change(self, host: str, changed: HostRecord, *, named: Iterable[str]) -> None:
        """Take the newest state of the guests that are `named`: one that `changed` does not hold is gone."""
        record = self._hosts[host]
        for guest_id in named:
            _set(record.guests, guest_id, changed.guests.get(guest_id))
            _set(record.tombstones, guest_id, changed.tombstones.get(guest_id))
            record.foreign.discard(guest_id)
            if guest_id in record.guests or guest_id in record.tombstones:
                self._holders[guest_id].add(host)
            else:
                self._let_go(guest_id, host)
        record.foreign |= changed.foreign
        record.cursor, record.asked_at = changed.cursor, changed.asked_at

    def note_end(self, host: str, guest_id: str, rank: Rank) -> None:
        """Note that a host destroyed a guest, which it said elsewhere before it was asked here."""
        record = self._hosts.get(host)
        if record is not None:
            record.guests.pop(guest_id, None)
            record.tombstones[guest_id] = rank
            self._holders[guest_id].add(host)

    def forget(self, host: str) -> None:
        """Drop what is known of a host."""
        record = self._hosts.pop(host, None)
        if record is not None:
            for guest_id in (*record.guests, *record.tombstones):
                self._let_go(guest_id, host)

    def _let_go(self, guest_id: str, host: str) -> None:
        self._holders[guest_id].discard(host)
        if not self._holders[guest_id]:
            del self._holders[guest_id]

    def state(self) -> dict[str, HostRecord]:
        """Return all records as they are now; what is taken later does not change them."""
        return {
            host: HostRecord(
                each.cursor, each.asked_at, dict(each.guests), dict(each.tombstones), set(each.foreign)
            )
            for host, each in self._hosts.items()
        }


def encode(state: Mapping[str, HostRecord]) -> bytes:
    """Return the bytes of a file."""
    content = MAGIC + msgspec.msgpack.encode((FORM, state))
    return content + _digest(content)


def decode(content: bytes) -> dict[str, HostRecord]:
    """Return what a file held.

    Raises:
        RecordsDamagedError: it is cut, damaged, or of another form.
    """
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if not body.startswith(MAGIC) or _digest(body) != digest:
        raise RecordsDamagedError("the records are cut or damaged")
    try:
        form, hosts = msgspec.msgpack.decode(body[len(MAGIC) :], type=tuple[int, dict[str, HostRecord]])
    except msgspec.DecodeError as error:
        raise RecordsDamagedError(f"the records have another form: {error}") from error
    if form != FORM:
        raise RecordsDamagedError(f"the records have the form {form}, not {FORM}")
    return hosts


def _set(table: dict[str, V], key: str, value: V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
