"""All that a database holds, for a person at the host: no API server and no agent is asked, and nothing is written.

A copy in memory is what is read, so that an agent at work is not held up, and a database of an earlier version can be
brought to this one.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from innkeeper.agent.store import opening, operations, reading, rows, schema
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.domain import orders
from innkeeper.domain.host_store import Change, GuestEntry, TombstoneEntry
from innkeeper.domain.orders import OrderAddress, OrderImage, OrderInvalidError, OrderResources
from innkeeper.domain.reasons import OperationPhase
from innkeeper.errors import TerminalError
from innkeeper.views.host import HostAgentSpec

LAST_CHANGES = 20


class NoStoreError(TerminalError):
    """There is no database."""

    reason = "NoStore"


class Fact(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Settings that all of these share."""


class OrderFacts(Fact, frozen=True):
    """What an order says, without what its author may want to keep to themselves."""

    namespace: str
    name: str
    epoch: int
    serial: int
    generation: int
    desired: str
    resources: OrderResources
    addresses: list[OrderAddress]
    image: OrderImage | None
    labels: dict[str, str]
    annotations: dict[str, str]


class GuestFacts(Fact, frozen=True):
    """A guest, with what its order says; None where that cannot be read."""

    entry: GuestEntry
    says: OrderFacts | None


class TombstoneFacts(Fact, frozen=True):
    """A tombstone, with the name of what lies there, where the store still has it."""

    entry: TombstoneEntry
    namespace: str | None
    name: str | None


class OperationFacts(Fact, frozen=True):
    """An operation that this host was ordered to do once; it is at work until it has finished."""

    id: str
    guest_id: str
    kind: str
    phase: OperationPhase
    started_at: str
    finished_at: str | None
    reason: str | None
    message: str | None


class Inspection(Fact, frozen=True):
    """All that a database holds. `trouble` says why an agent would not start on it."""

    host: str
    store_id: str
    version: int
    known_version: int
    trouble: str | None
    log_start: int
    log_end: int
    settings: HostAgentSpec | None
    guests: list[GuestFacts]
    tombstones: list[TombstoneFacts]
    operations: list[OperationFacts]  # the older first
    changes: list[Change]  # the last ones


def inspect(path: Path) -> Inspection:
    """Read a database.

    Raises:
        NoStoreError: there is none.
        StoreDamagedError: it cannot be read at all.
        StoreTooNewError: a later version of the agent wrote it.
        StoreUnusableError: SQLite cannot work.
    """
    if not path.exists():
        raise NoStoreError(
            f"there is no database {path}: name the agent's --state-dir, as a user who may read it"
        )
    trouble = None
    try:
        opening.check(path)
    except opening.StoreDamagedError as error:
        trouble = error.message
    with opening.open_to_read(path) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        copy.isolation_level = None
        version = schema.check(copy)
        schema.migrate(copy)
        return _read(copy, version, trouble)


def _read(connection: sqlite3.Connection, version: int, trouble: str | None) -> Inspection:
    host, store_id = reading.owner(connection)
    end = rows.log_end(connection)
    guests, tombstones = list[GuestEntry](), list[TombstoneEntry]()
    page = reading.snapshot(connection)
    while True:
        guests += page.guests
        tombstones += page.tombstones
        if page.next_after is None:
            break
        page = reading.snapshot(connection, after=page.next_after)
    return Inspection(
        host=host,
        store_id=store_id,
        version=version,
        known_version=len(schema.STEPS),
        trouble=trouble,
        log_start=rows.log_start(connection),
        log_end=end,
        settings=reading.settings(connection),
        guests=[GuestFacts(entry=each, says=_says(each.order)) for each in guests],
        tombstones=[_named(connection, each) for each in tombstones],
        operations=[_operation(each) for each in operations.read(connection)],
        changes=rows.changes(connection, after=end - LAST_CHANGES, limit=LAST_CHANGES),
    )


def _says(text: str) -> OrderFacts | None:
    try:
        order = orders.peek(text)
    except OrderInvalidError:
        return None
    return OrderFacts(
        namespace=order.namespace,
        name=order.name,
        epoch=order.epoch,
        serial=order.serial,
        generation=order.generation,
        desired=order.desired,
        resources=order.resources,
        addresses=order.addresses,
        image=order.image,
        labels=order.labels,
        annotations=order.annotations,
    )


def _operation(record: OperationRecord) -> OperationFacts:
    return OperationFacts(
        id=record.id,
        guest_id=record.guest_id,
        kind=record.kind,
        phase=record.phase,
        started_at=record.started_at,
        finished_at=record.finished_at,
        reason=record.reason,
        message=record.message,
    )


def _named(connection: sqlite3.Connection, entry: TombstoneEntry) -> TombstoneFacts:
    found = rows.tombstone(connection, entry.guest_id)
    namespace, name = (found[0].namespace, found[0].name) if found is not None else (None, None)
    return TombstoneFacts(entry=entry, namespace=namespace, name=name)
