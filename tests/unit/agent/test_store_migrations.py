"""A database of each earlier version is opened by this one, with all that it held."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from innkeeper.agent import refusals
from innkeeper.agent.store import schema
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import (
    AddressInUse,
    GuestRecord,
    Life,
    LocalPower,
    LocalWish,
    Ready,
    Tombstone,
)
from innkeeper.agent.store.schema import STEPS, StoreTooNewError
from innkeeper.agent.store.store import Store
from innkeeper.domain import orders
from innkeeper.domain.host_store import Step
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OperationPhase, OrderOutcome
from innkeeper.views.guest import UserData
from tests.kit import store_versions
from tests.kit.agent_orders import KEYS, SIGNER, order

AT, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"
VERSIONS = range(1, len(STEPS) + 1)


def held_by(version: int) -> list[GuestRecord]:
    """Return the guests of a database of a version, as this one has them."""
    # An earlier agent did not note of which interface the address was.
    interface = "eth0" if version >= 7 else None
    refused = GuestRecord(
        guest_id="g1",
        order="signed",
        rank=Rank(2, 3),
        namespace="guests",
        name="web",
        outcome=OrderOutcome.REFUSED,
        life=Life.NEW,
        ready=Ready(False, "AddressInUse", "taken"),
        conflict=AddressInUse("10.0.0.9", "52:54:00:00:00:01", interface) if version >= 2 else None,
        accepted_at="" if version >= 4 else AT,
    )
    stopped = GuestRecord(
        guest_id="g4",
        order="signed",
        rank=Rank(1, 1),
        namespace="guests",
        name="db",
        outcome=OrderOutcome.ACCEPTED,
        life=Life.OFF,
        ready=Ready(False, "StoppedAtHost"),
        accepted_at=AT,
        wish=LocalWish(LocalPower.STOPPED, "alice", "2026-01-02T00:00:00Z"),
        boot="boot-1" if version >= 8 else "",
    )
    return [refused, stopped] if version >= 4 else [refused]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_step_that_hosts_have_taken_still_makes_what_it_made(tmp_path: Path, version: int) -> None:
    """The file of a version is never written anew: a step that is edited leaves hosts without the edit."""
    store_versions.put(tmp_path / "agent.db", version)
    with (
        closing(sqlite3.connect(tmp_path / "agent.db")) as released,
        closing(store_versions.by_steps(version)) as today,
    ):
        assert store_versions.tables(today) == store_versions.tables(released)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_each_version_holds_something_in_all_that_its_steps_brought(
    tmp_path: Path, version: int
) -> None:
    store_versions.put(tmp_path / "agent.db", version)
    assert store_versions.blank_columns(tmp_path / "agent.db") == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_earlier_database_is_opened_with_all_that_it_held(tmp_path: Path, version: int) -> None:
    store_versions.put(tmp_path / "agent.db", version)
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-new")
    assert store.store_id == "id-old"
    assert await store.guests() == held_by(version)
    assert await store.tombstone("g0") == (
        Tombstone("g0", Rank(1, 2), "signed to destroy", "guests", "gone")
        if version >= 3
        else Tombstone("g0", Rank(1, 2))
    )
    forgotten = Tombstone("g5", Rank(1, 1), forgotten=f"bob at {AT}")
    assert await store.tombstone("g5") == (forgotten if version >= 4 else None)
    assert await store.operations() == (
        [
            OperationRecord(
                "g4", "reboot-1", "Reboot", OperationPhase.FAILED, "run-1", AT, LATER, "NoAnswer", "it hangs"
            )
        ]
        if version >= 5
        else []
    )
    [refused, *_] = (await store.snapshot()).guests
    assert refused.history == [Step(at=AT, reason="AddressInUse", message="taken", number=1)]
    assert [line.what for line in await store.changes()] == ["Destroyed", "Refused Running"]
    await store.bury(Tombstone("g1", Rank(3, 1), "signed to destroy", "guests", "web"), at=AT)
    assert (await store.tombstone("g1")) == Tombstone("g1", Rank(3, 1), "signed to destroy", "guests", "web")
    await store.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_earlier_database_becomes_what_a_new_one_is(tmp_path: Path, version: int) -> None:
    store_versions.put(tmp_path / "agent.db", version)
    for name in ("agent.db", "new.db"):
        await (await Store.open(tmp_path / name, host="inn-a", new_id="id-new")).close()
    with (
        closing(sqlite3.connect(tmp_path / "agent.db")) as old,
        closing(sqlite3.connect(tmp_path / "new.db")) as new,
    ):
        assert store_versions.tables(old) == store_versions.tables(new)


async def test_refused_orders_lose_what_is_the_guests_own_and_accepted_ones_keep_it(tmp_path: Path) -> None:
    store_versions.put(tmp_path / "agent.db", 5)
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
    store_versions.put(tmp_path / "agent.db", version)
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-new")
    (guest,) = (await store.snapshot()).guests
    assert guest.history == [Step(at=AT, reason="AddressInUse", message="taken", number=1)]
    await store.close()


@pytest.mark.parametrize("version", range(1, len(STEPS)))
async def test_a_step_that_is_cut_leaves_the_version_before_it(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_versions.put(tmp_path / "agent.db", version)
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
    store_versions.put(path, len(STEPS))
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 99")
    later.close()
    before = path.read_bytes()
    with pytest.raises(
        StoreTooNewError, match=r"version 99.*install the agent that wrote it, or a newer one"
    ):
        await Store.open(path, host="inn-a", new_id="id-1")
    assert path.read_bytes() == before
