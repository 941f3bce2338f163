"""Backups of the store, and what a store that was built from one may and may not start."""

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
from prometheus_client import CollectorRegistry

from innkeeper import __version__
from innkeeper.agent.backup.backups import LATE_S, Backups
from innkeeper.agent.backup.copying import BackupMark, copy_store
from innkeeper.agent.backup.directory import BackupDirectory
from innkeeper.agent.backup.places import PlaceError, Places
from innkeeper.agent.backup.restore import NotRestoredError, restore
from innkeeper.agent.backup.targets import BackupFailedError, BackupTarget, next_name
from innkeeper.agent.figures import BackupFigures
from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.only_one import AnotherOneError
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store import schema
from innkeeper.agent.store.opening import StoreIsBackupError
from innkeeper.agent.store.store import Store
from innkeeper.cli import agent_restore
from innkeeper.clock import Clock, SystemClock
from innkeeper.errors import TerminalError
from innkeeper.kube.resources import LEASES
from tests.kit.agent_host import SHORT_GRACE_S, AgentHost
from tests.kit.agent_orders import HOST, STORE, guest_id, order
from tests.kit.clock import START, ManualClock
from tests.kit.waiting import eventually, settled

GUEST = guest_id()
NEW = "22222222-2222-4222-8222-222222222222"
MARK = BackupMark(store_id=STORE, taken_at="2026-01-01T00:00:00Z", agent_version=__version__)


def lose_store(paths: StatePaths) -> None:
    for path in paths.root.glob("agent.db*"):
        path.unlink()


async def put_back(host: AgentHost, backup: Path, *, trusts_copy: bool = False) -> None:
    """The host lost its power and its store, and has a store from the backup now; nobody holds its Lease."""
    await host.kill()
    host.reboot()
    paths = StatePaths(host.directory)
    lose_store(paths)
    made = restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=trusts_copy)
    assert (made.store_id, made.former_store_id, made.guests) == (NEW, STORE, 1)
    await host.admin.delete(LEASES, "heartbeat", namespace=host.namespace)


@pytest.fixture
async def backup(running: AgentHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup as of when the first guest ran."""
    path = tmp_path_factory.mktemp("backups") / "inn-a.1.db"
    copy_store(StatePaths(running.directory).database, path, MARK)
    return path


async def reason_here(host: AgentHost) -> str:
    answer = await ask(StatePaths(host.directory), Question(verb=Verb.LIST), clock=SystemClock())
    [line] = answer.guests
    return line.reason


async def test_a_guest_of_a_restored_store_waits_for_an_order_for_this_store(
    running: AgentHost, backup: Path
) -> None:
    await put_back(running, backup)
    running.start()
    await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert await reason_here(running) == "WaitingForOrders"
    assert running.driver.starts[GUEST] == 1
    await running.assign(order(serial=2, store_id=NEW))
    await running.told(GUEST, "Running")
    assert running.disk(GUEST).exists()


@pytest.mark.parametrize("desired", ["Destroyed", "Superseded"])
async def test_what_was_ordered_since_the_backup_is_not_undone(
    running: AgentHost, backup: Path, desired: str
) -> None:
    await running.assign(order(epoch=2, desired=desired))
    outcome = "Destroyed" if desired == "Destroyed" else "Accepted"
    await running.told(GUEST, desired, outcome=outcome)
    await put_back(running, backup)
    running.start()
    await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    await settled(lambda: running.driver.starts[GUEST])
    assert running.driver.starts[GUEST] == 1
    await running.assign(order(epoch=2, serial=2, desired=desired, store_id=NEW))
    await running.told(GUEST, desired, outcome=outcome)
    assert running.driver.starts[GUEST] == 1


async def test_without_an_api_server_it_waits_for_a_person(running: AgentHost, backup: Path) -> None:
    await put_back(running, backup)
    await running.api.down()
    running.api_grace_s = SHORT_GRACE_S
    running.start()

    async def waits() -> bool:
        return await reason_here(running) == "WaitingForOrders"

    await eventually(waits)
    await settled(lambda: running.driver.starts[GUEST])
    assert running.driver.starts[GUEST] == 1
    question = Question(verb=Verb.START, guest=GUEST, by="root")
    await ask(StatePaths(running.directory), question, clock=SystemClock())
    await eventually(lambda: running.driver.running() == {GUEST})


async def test_a_person_may_let_all_start_by_the_backup(running: AgentHost, backup: Path) -> None:
    await put_back(running, backup, trusts_copy=True)
    await running.api.down()
    running.api_grace_s = SHORT_GRACE_S
    running.start()
    await eventually(lambda: running.driver.running() == {GUEST})


async def test_guests_that_run_are_left_as_they_are(running: AgentHost, backup: Path) -> None:
    await running.kill()
    paths = StatePaths(running.directory)
    lose_store(paths)
    restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=False)
    await running.admin.delete(LEASES, "heartbeat", namespace=running.namespace)
    running.start()
    await running.told(GUEST, "OrderInvalid", outcome="Invalid")
    assert running.driver.running() == {GUEST}
    assert await reason_here(running) == "Running"


async def test_a_store_is_never_replaced_nor_is_what_is_left_of_one(running: AgentHost, backup: Path) -> None:
    paths = StatePaths(running.directory)
    with pytest.raises(AnotherOneError):
        restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=False)
    await running.kill()
    with pytest.raises(NotRestoredError, match="never replaced"):
        restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=False)
    lose_store(paths)
    paths.database.with_name("agent.db-wal").write_bytes(b"of another one")
    with pytest.raises(NotRestoredError, match=r"agent\.db-wal"):
        restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=False)
    assert not paths.database.exists()


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., None]:
    """Check that a file is not restored, and leaves nothing."""

    def check(file: Path, match: str, *, host: str = HOST) -> None:
        paths = StatePaths(tmp_path / "fresh")
        with pytest.raises(TerminalError, match=match):
            restore(file, paths, host=host, new_id=NEW, trusts_copy=False)
        assert not list(paths.root.glob("agent.db*"))

    return check


def test_only_an_undamaged_backup_of_this_host_is_restored(
    backup: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    refused(backup, "of the host 'inn-a'", host="inn-b")
    refused(tmp_path / "nowhere.db", "cannot be copied")
    refused(StatePaths(tmp_path).database, "no backup but a store")
    damaged = tmp_path / "damaged.db"
    content = bytearray(backup.read_bytes())
    content[4096 : 4096 * 4] = os.urandom(4096 * 3)
    damaged.write_bytes(content)
    refused(damaged, "damaged|no agent's database")
    newer = tmp_path / "newer.db"
    newer.write_bytes(backup.read_bytes())
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 999")
    refused(newer, "of version 999")


def test_a_restore_that_was_killed_leaves_nothing_to_the_next(backup: Path, tmp_path: Path) -> None:
    """SQLite would undo, in the new copy, what the killed one was changing in another."""
    paths = StatePaths(tmp_path / "fresh")
    paths.root.mkdir()
    partial = paths.root / "agent.db.restoring"
    partial.write_bytes(backup.read_bytes())
    with closing(sqlite3.connect(partial, isolation_level=None)) as killed:
        killed.execute("PRAGMA synchronous = OFF")  # its journal is good from its first byte on
        killed.execute("UPDATE meta SET value = 'another' WHERE key = 'store_id'")
        killed.execute("DELETE FROM guests")
        killed.execute("BEGIN IMMEDIATE")
        killed.execute("UPDATE meta SET value = 'new' WHERE key = 'store_id'")
        killed.execute("CREATE TABLE more (x)")
        journal = (paths.root / "agent.db.restoring-journal").read_bytes()
        killed.execute("ROLLBACK")
    (paths.root / "agent.db.restoring-journal").write_bytes(journal)
    made = restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=False)
    assert (made.former_store_id, made.guests) == (STORE, 1)
    assert [each.name for each in paths.root.glob("agent.db*")] == ["agent.db"]


def test_a_copy_that_fails_leaves_nothing(
    backup: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., None]
) -> None:
    def full(_: Path, target: Path) -> None:
        target.write_bytes(b"as far as it went")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    refused(backup, "No space left")


def test_a_disk_that_fails_is_not_told_as_damage_of_the_backup(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads that the backup is damaged throws away the only copy that there is."""

    def full(_: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(schema, "migrate", full)
    paths = StatePaths(tmp_path / "other")
    with pytest.raises(
        NotRestoredError, match="cannot be written: database or disk is full; the backup is as"
    ):
        restore(backup, paths, host=HOST, new_id=NEW, trusts_copy=False)
    assert not paths.database.exists()


async def test_a_store_that_somebody_removed_is_not_made_by_its_backup(
    running: AgentHost, tmp_path: Path
) -> None:
    """The log beside it still holds what may be saved; an empty database in its place would end that."""
    database = StatePaths(running.directory).database
    kept = sorted(each.name for each in running.directory.glob("agent.db-*"))
    assert "agent.db-wal" in kept
    database.unlink()
    with pytest.raises(sqlite3.OperationalError):
        copy_store(database, tmp_path / "copy", MARK)
    assert sorted(each.name for each in running.directory.glob("agent.db*")) == kept
    assert not (tmp_path / "copy").exists()


async def test_a_backup_is_no_store(backup: Path) -> None:
    with pytest.raises(StoreIsBackupError, match="restore"):
        await Store.open(backup, host=HOST, new_id=NEW)


@dataclass(frozen=True)
class Told:
    """What metrics tell of backups."""

    registry: CollectorRegistry

    def outcome(self, name: str) -> float:
        return self.registry.get_sample_value("innkeeper_agent_backups_total", {"outcome": name}) or 0

    @property
    def failing(self) -> float | None:
        return self.registry.get_sample_value("innkeeper_agent_backup_failing")


def backups(
    host: AgentHost, open_target: Callable[[], BackupTarget], clock: Clock, registry: CollectorRegistry
) -> Backups:
    return Backups(
        open_target=open_target,
        paths=StatePaths(host.directory),
        clock=clock,
        figures=BackupFigures(registry),
        every_s=300,
    )


async def test_backups_are_taken_after_changes_only_and_the_oldest_go(
    host: AgentHost, tmp_path: Path
) -> None:
    target, clock, registry = tmp_path / "mounted", ManualClock(), CollectorRegistry()
    told = Told(registry)
    host.backups = backups(host, lambda: BackupDirectory(target, HOST, keep=2), clock, registry)

    async def round_is_over(name: str, count: int) -> None:
        await eventually(lambda: told.outcome(name) == count and clock.sleepers)

    host.start()
    await round_is_over("failed", 1)
    assert told.failing == 1
    await host.assign(order())
    await host.told(GUEST, "Running")  # nothing is held up by that
    target.mkdir()
    clock.advance(300)
    await round_is_over("taken", 1)
    assert told.failing == 0
    clock.advance(300)
    await settled(lambda: told.outcome("taken"))
    assert told.outcome("taken") == 1, "nothing changed"
    for count in range(2, 5):
        await host.assign(order(serial=count, desired="Stopped" if count % 2 else "Running"))
        await host.told(GUEST, "Stopped" if count % 2 else "Running")
        await eventually(lambda: clock.sleepers)
        clock.advance(299)
        await settled(lambda: told.outcome("taken"), for_s=0.05)
        assert told.outcome("taken") == count - 1
        clock.advance(1)
        await round_is_over("taken", count)
    files = sorted(target.iterdir())
    assert len(files) == 2
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    made = restore(files[-1], StatePaths(tmp_path / "other"), host=HOST, new_id=NEW, trusts_copy=False)
    assert (made.guests, made.former_store_id) == (1, STORE)


async def test_a_place_that_hangs_is_told_of_and_holds_nothing_up(
    host: AgentHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a mount whose server is gone: no call there returns, and none fails."""
    there, clock, registry = tmp_path / "mounted", ManualClock(), CollectorRegistry()
    there.mkdir()
    told, hanging, server_is_back = Told(registry), threading.Semaphore(0), threading.Event()
    copied, begun = shutil.copyfileobj, list[object]()

    def hangs(source: BinaryIO, target: BinaryIO) -> None:
        begun.append(target)
        hanging.release()
        server_is_back.wait()
        copied(source, target)

    monkeypatch.setattr(shutil, "copyfileobj", hangs)
    host.backups = backups(host, lambda: BackupDirectory(there, HOST, keep=2), clock, registry)
    host.start()
    try:
        await eventually(lambda: hanging.acquire(blocking=False))
        clock.advance(LATE_S - 1)
        await settled(lambda: told.failing)
        assert told.failing == 0
        clock.advance(1)
        await eventually(lambda: told.failing == 1)
        await host.assign(order())
        await host.told(GUEST, "Running")
        clock.advance(3600)
        await settled(lambda: len(begun))
        assert len(begun) == 1, "another try began while the first one hangs"
        with closing(sqlite3.connect(host.directory / "agent.db")) as connection:
            [(held_up, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not held_up, "the log of the store would grow"
    finally:
        server_is_back.set()
    await eventually(lambda: told.outcome("taken") == 1 and told.failing == 0)
    assert told.outcome("failed") == 0
    assert not (host.directory / "agent.db.sending").exists()


async def test_credentials_that_come_late_fail_until_then(host: AgentHost, tmp_path: Path) -> None:
    clock, registry, file = ManualClock(), CollectorRegistry(), tmp_path / "credentials"
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    places = Places(host=HOST, scratch=tmp_path, environment=environment, clock=SystemClock())
    there = tmp_path / "there"
    there.mkdir()

    def opened() -> BackupTarget:
        places.bucket("s3://bucket/hosts")  # fails as long as there are no credentials; it calls nobody
        return BackupDirectory(there, HOST, keep=1)

    told = Told(registry)
    host.backups = backups(host, opened, clock, registry)
    host.start()
    await eventually(lambda: told.outcome("failed") == 1 and clock.sleepers)
    assert told.failing == 1
    file.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    clock.advance(300)
    await eventually(lambda: told.outcome("taken") == 1)
    assert told.failing == 0


def test_the_next_name_is_behind_all_that_are_kept() -> None:
    first = next_name(HOST, START, [])
    assert first == "inn-a.20260101T000000.000000Z.db"
    assert next_name(HOST, START, [first]) == "inn-a.20260101T000000.000001Z.db"
    assert next_name(HOST, START, ["inn-a.20380119T031407.999999Z.db"]) == "inn-a.20380119T031408.000000Z.db"
    with pytest.raises(BackupFailedError, match="move that backup away"):
        next_name(HOST, START, ["inn-a.99991231T235959.999999Z.db"])


async def test_a_restore_of_what_is_not_there_leaves_no_directory(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(PlaceError, match=r"there is no .*/nowhere: name a backup"):
        await agent_restore.run(backup=str(tmp_path / "nowhere"), host=HOST, state_dir=made / "fresh")
    assert not made.exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(PlaceError, match="no backup of the host"):
        await agent_restore.run(backup=str(tmp_path / "there"), host=HOST, state_dir=made / "fresh")
    assert not made.exists()
