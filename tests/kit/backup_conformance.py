"""What every place for backups promises, as tests: run against a directory and against a real S3 server.

A subclass gives a `bench`: a place, and the means to look into it and to break it from outside.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from innkeeper import __version__
from innkeeper.agent.backup.copying import BackupMark, copy_beside
from innkeeper.agent.backup.places import Places
from innkeeper.agent.backup.restore import NotRestoredError, restore
from innkeeper.agent.backup.targets import BackupFailedError, BackupTarget
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.store import Store
from innkeeper.clock import SystemClock
from innkeeper.errors import InnkeeperError
from tests.kit.agent_orders import HOST, STORE

NEW = "22222222-2222-4222-8222-222222222222"
MARK = BackupMark(store_id=STORE, taken_at="2026-01-01T00:00:00Z", agent_version=__version__)


class BackupBench(Protocol):
    """A place for backups and what lies in it. `place` is what a person writes."""

    place: str

    def target(self, *, keep: int = 24) -> BackupTarget:
        """Return the place, for the host of the tests."""

    def lies(self) -> dict[str, bytes]:
        """Return all that lies there, by name."""

    def put(self, name: str, content: bytes) -> None:
        """Put or change something there, past the agent."""

    def close(self) -> None:
        """Let the place be gone."""


def at(number: int) -> datetime:
    """Return a moment of the tests, by its second."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)


def name(number: int, host: str = HOST, *, later_us: int = 0) -> str:
    """Return the name of a backup as of such a moment."""
    return f"{host}.20260101T{number:06d}.{later_us:06d}Z.db"


async def take(target: BackupTarget, database: Path, now: datetime, mark: BackupMark = MARK) -> None:
    """Take a backup as an agent does."""
    async with copy_beside(database, mark) as copy:
        await target.take(copy, now=now)


class BackupConformance:
    """Take, list, prune, fetch."""

    @pytest.fixture
    def paths(self, tmp_path: Path) -> StatePaths:
        return StatePaths(tmp_path / "state")

    @pytest.fixture
    async def database(self, paths: StatePaths) -> Path:
        paths.root.mkdir()
        store = await Store.open(paths.database, host=HOST, new_id=STORE)
        await store.close()
        return paths.database

    async def test_what_was_kept_is_listed_fetched_and_restored(
        self, bench: BackupBench, database: Path, tmp_path: Path
    ) -> None:
        target = bench.target()
        assert await target.kept() == []
        for number in (1, 2):
            await take(target, database, at(number))
        assert await target.kept() == [name(1), name(2)]
        copy = tmp_path / "copy.db"
        await target.fetch(name(2), copy)
        assert copy.stat().st_mode & 0o777 == 0o600
        made = restore(copy, StatePaths(tmp_path / "other"), host=HOST, new_id=NEW, trusts_copy=False)
        assert (made.store_id, made.former_store_id) == (NEW, STORE)

    async def test_nothing_is_left_beside_the_store(
        self, bench: BackupBench, database: Path, paths: StatePaths
    ) -> None:
        before = sorted(paths.root.iterdir())
        await take(bench.target(), database, at(1))
        assert sorted(paths.root.iterdir()) == before
        assert list(bench.lies()) == [name(1)]

    async def test_the_oldest_of_this_host_go_and_nothing_else(
        self, bench: BackupBench, database: Path
    ) -> None:
        others = {name(1, "inn-ab"), f"{HOST}.notes.db", f"{name(1)}.old", "readme"}
        others.add(f"{HOST}.99999999T999999.999999Z.db")  # no time, and so no name that an agent gives
        for each in others:
            bench.put(each, b"of somebody else")
        target = bench.target(keep=2)
        for number in (3, 4, 5):
            await take(target, database, at(number))
        assert set(bench.lies()) == {name(4), name(5), *others}
        await take(target, database, at(1))  # the clock was set back
        assert set(bench.lies()) == {name(5), name(5, later_us=1), *others}
        assert await target.kept() == [name(5), name(5, later_us=1)]

    async def test_a_clock_that_was_wrong_once_hides_no_newer_backup(
        self, bench: BackupBench, database: Path, paths: StatePaths, tmp_path: Path
    ) -> None:
        """A machine starts with the time of its dead battery, and a backup is always taken at a start."""
        target = bench.target(keep=3)
        await take(target, database, datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC))
        [wrong] = await target.kept()
        for number in (1, 2):
            mark = BackupMark(store_id=STORE, taken_at=f"time {number}", agent_version=__version__)
            await take(target, database, at(number), mark)
            assert await self.restored(bench.place, paths, tmp_path / str(number)) == f"time {number}"
        assert wrong in bench.lies()
        await take(target, database, at(3))
        assert wrong not in bench.lies()
        assert await target.kept() == sorted(bench.lies())

    async def test_what_is_not_there_is_said_so(
        self, bench: BackupBench, database: Path, tmp_path: Path
    ) -> None:
        del database
        copy = tmp_path / "copy.db"
        with pytest.raises(BackupFailedError) as raised:
            await bench.target().fetch(name(7), copy)
        assert not raised.value.retryable
        assert not copy.exists()

    async def test_a_place_that_is_gone_fails_and_leaves_nothing(
        self, bench: BackupBench, database: Path, paths: StatePaths
    ) -> None:
        before = sorted(paths.root.iterdir())
        target = bench.target()
        bench.close()
        with pytest.raises(BackupFailedError):
            await take(target, database, at(1))
        with pytest.raises(BackupFailedError):
            await target.kept()
        assert sorted(paths.root.iterdir()) == before

    async def test_a_damaged_backup_is_not_restored(
        self, bench: BackupBench, database: Path, paths: StatePaths, tmp_path: Path
    ) -> None:
        await take(bench.target(), database, at(1))
        content = bytearray(bench.lies()[name(1)])
        content[4096 : 4096 * 3] = os.urandom(4096 * 2)
        bench.put(name(1), bytes(content))
        with pytest.raises(InnkeeperError, match=r"damaged|SHA-256") as raised:
            await self.restored(bench.place, paths, tmp_path / "other")
        assert isinstance(raised.value, BackupFailedError | NotRestoredError)

    async def test_a_person_names_a_backup_or_the_place(
        self, bench: BackupBench, database: Path, paths: StatePaths, tmp_path: Path
    ) -> None:
        with pytest.raises(InnkeeperError, match="no backup of the host"):
            await self.restored(bench.place, paths, tmp_path / "none")
        for number in (1, 2):
            mark = BackupMark(store_id=STORE, taken_at=f"time {number}", agent_version=__version__)
            await take(bench.target(), database, at(number), mark)
        assert await self.restored(bench.place, paths, tmp_path / "newest") == "time 2"
        assert await self.restored(f"{bench.place}/{name(1)}", paths, tmp_path / "named") == "time 1"
        assert not list(paths.root.glob("restoring-*"))

    async def restored(self, place: str, paths: StatePaths, into: Path) -> str:
        """Restore as the command does; return when the backup was taken."""
        places = Places(host=HOST, scratch=paths.root, environment=os.environ, clock=SystemClock())
        async with places.backup(place) as file:
            return restore(file, StatePaths(into), host=HOST, new_id=NEW, trusts_copy=False).taken_at
