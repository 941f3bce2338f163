"""A database of each earlier version is opened by this one, with all that it held."""

import sqlite3
from pathlib import Path

import pytest

from innkeeper.agent import refusals
from innkeeper.agent.store import schema
from innkeeper.agent.store.records import AddressInUse, GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.store.schema import STEPS, StoreTooNewError
from innkeeper.agent.store.store import Store
from innkeeper.domain import orders
from innkeeper.domain.host_store import Step
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome
from innkeeper.views.guest import UserData
from tests.kit.agent_orders import KEYS, SIGNER, order

AT = "2026-01-01T00:00:00Z"
ROWS = """
    INSERT INTO meta VALUES ('store_id', 'id-old'), ('host', 'inn-a');
    INSERT INTO guests (guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason, message,
        updated) VALUES ('g1', 'signed', 2, 3, 'guests', 'web', 'Refused', 'New', 'False', 'AddressInUse', 'taken',
        '2026-01-01T00:00:00Z');
    INSERT INTO tombstones (guest_id, epoch, serial, destroyed_at) VALUES ('g0', 1, 2, '2026-01-01T00:00:00Z');
    INSERT INTO changes (guest_id, what, at) VALUES ('g0', 'Destroyed', '2026-01-01T00:00:00Z'),
        ('g1', 'Refused Running', '2026-01-01T00:00:00Z');
"""
CONFLICT = "UPDATE guests SET conflict_address = '10.0.0.9', conflict_mac = '52:54:00:00:00:01'"


def of_version(path: Path, version: int) -> None:
    """Make the database that the agent of that version made, with a row in each table."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in [each for step in STEPS[:version] for each in step]:
        connection.execute(statement)
    connection.executescript(ROWS)
    if version >= 2:
        connection.execute(CONFLICT)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("version", range(1, len(STEPS) + 1))
async def test_an_earlier_database_is_opened_with_all_that_it_held(tmp_path: Path, version: int) -> None:
    of_version(tmp_path / "agent.db", version)
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-new")
    assert store.store_id == "id-old"
    assert await store.guests() == [
        GuestRecord(
            guest_id="g1",
            order="signed",
            rank=Rank(2, 3),
            namespace="guests",
            name="web",
            outcome=OrderOutcome.REFUSED,
            life=Life.NEW,
            ready=Ready(False, "AddressInUse", "taken"),
            conflict=AddressInUse("10.0.0.9", "52:54:00:00:00:01") if version >= 2 else None,
            accepted_at="" if version >= 4 else AT,
        )
    ], "an earlier agent did not note of which interface the address was"
    assert await store.tombstone("g0") == Tombstone("g0", Rank(1, 2))
    assert [line.what for line in await store.changes()] == ["Destroyed", "Refused Running"]
    await store.bury(Tombstone("g1", Rank(3, 1), "signed to destroy", "guests", "web"), at=AT)
    assert (await store.tombstone("g1")) == Tombstone("g1", Rank(3, 1), "signed to destroy", "guests", "web")
    await store.close()


async def test_refused_orders_lose_what_is_the_guests_own_and_accepted_ones_keep_it(tmp_path: Path) -> None:
    of_version(tmp_path / "agent.db", 5)
    spec = {"user_data": UserData(inline="#cloud-config")}
    new = order(spec=spec, labels={"team": "blue"}, user_data_secret="data", user_data_digest="sha256:00")
    connection = sqlite3.connect(tmp_path / "agent.db")
    for guest, outcome in (("g2", "Refused"), ("g3", "Accepted")):
        connection.execute(
            """INSERT INTO guests (guest_id, "order", epoch, serial, namespace, name, outcome, life, status, reason,
               message, updated) VALUES (?, ?, 1, 1, 'guests', 'web', ?, 'New', 'False', 'X', '', ?)""",
            (guest, SIGNER.sign(new), outcome, AT),
        )
    connection.commit()
    connection.close()
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-new")
    kept = {each.guest_id: each.order for each in await store.guests()}
    assert orders.peek(kept["g2"]) == refusals.remnant(new)
    assert "cloud-config" not in kept["g2"]
    assert orders.verify(kept["g3"], KEYS) == new
    await store.close()


@pytest.mark.parametrize("version", [1, 2])
async def test_a_guest_from_before_histories_begins_with_how_it_stands(tmp_path: Path, version: int) -> None:
    of_version(tmp_path / "agent.db", version)
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-new")
    (guest,) = (await store.snapshot()).guests
    assert guest.history == [Step(at=AT, reason="AddressInUse", message="taken", number=1)]
    await store.close()


@pytest.mark.parametrize("version", range(1, len(STEPS)))
async def test_a_step_that_is_cut_leaves_the_version_before_it(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_version(tmp_path / "agent.db", version)
    broken = (*STEPS[:version], (*STEPS[version], "SELECT no_such_function()"))
    connection = sqlite3.connect(tmp_path / "agent.db", isolation_level=None)
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", broken)
        with pytest.raises(sqlite3.OperationalError, match="no_such_function"):
            schema.migrate(connection)
    assert schema.check(connection) == version
    schema.migrate(connection)
    assert schema.check(connection) == len(STEPS)
    connection.close()


async def test_a_later_versions_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    of_version(path, len(STEPS))
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 99")
    later.close()
    before = path.read_bytes()
    with pytest.raises(
        StoreTooNewError, match=r"version 99.*install the agent that wrote it, or a newer one"
    ):
        await Store.open(path, host="inn-a", new_id="id-1")
    assert path.read_bytes() == before
