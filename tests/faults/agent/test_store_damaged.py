"""A damaged database is refused with what to do, and stays as it is; a log that a kill cut is no damage."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from innkeeper.agent.store import opening
from innkeeper.agent.store.opening import StoreDamagedError, StoreUnusableError
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

AT = "2026-01-01T00:00:00Z"
PAGE = 4096


async def opened(path: Path) -> Store:
    return await Store.open(path, host="inn-a", new_id="id-1")


async def write(store: Store, numbers: range) -> None:
    for number in numbers:
        record = GuestRecord(
            guest_id=f"g{number:03d}",
            order="o" * 3000,
            rank=Rank(1, 1),
            namespace="guests",
            name="web",
            outcome=OrderOutcome.ACCEPTED,
            life=Life.UP,
            ready=Ready(True, "Running"),
        )
        await store.put(record, what="Accepted", at=AT)


@pytest.fixture
async def closed(tmp_path: Path) -> Path:
    """A database with guests, closed in order: all of it lies in one file."""
    path = tmp_path / "state" / "agent.db"
    store = await opened(path)
    await write(store, range(40))
    await store.close()
    return path


@pytest.fixture
async def cut(tmp_path: Path) -> Path:
    """A database as a loss of power left it: some of it in the file, some in the log beside it."""
    path, left = tmp_path / "first" / "agent.db", tmp_path / "state"
    store = await opened(path)
    await write(store, range(20))
    await store._read(lambda _: None)
    checkpoint = sqlite3.connect(path)
    checkpoint.execute("PRAGMA wal_checkpoint(PASSIVE)")
    await write(store, range(20, 40))
    shutil.copytree(path.parent, left, ignore=shutil.ignore_patterns("*-shm"))
    checkpoint.close()
    await store.close()
    return left / path.name


def files(path: Path) -> dict[str, bytes]:
    """What lies there, but for the index that SQLite makes anew of the log."""
    return {each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith("-shm")}


async def refused(path: Path, why: str | None = None) -> None:
    """See it refused, and nothing of it changed."""
    before = files(path)
    with pytest.raises(StoreDamagedError, match=why) as caught:
        await opened(path)
    assert caught.value.reason == "StoreDamaged"
    assert "restore a backup" in caught.value.message
    assert not caught.value.retryable
    after = files(path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"agent.db-wal"}


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def replace(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def remove(*paths: Path) -> None:
    for each in paths:
        each.unlink()


def wal_of(path: Path) -> Path:
    return path.with_name("agent.db-wal")


@pytest.mark.parametrize("left", [1, 100, PAGE, 10 * PAGE, 20 * PAGE + 1000])
async def test_a_truncated_file(closed: Path, left: int) -> None:
    with closed.open("r+b") as file:
        file.truncate(left)
    await refused(closed, "malformed|not a database|before its header")


async def test_an_empty_file_is_not_taken_for_a_new_database(closed: Path) -> None:
    with closed.open("r+b") as file:
        file.truncate(0)
    await refused(closed, "empty or gone")


async def test_an_empty_file_beside_a_log_keeps_the_log(cut: Path) -> None:
    replace(cut, b"")
    remove(cut.with_name("agent.db-highwater"))
    await refused(cut, "empty or gone")


async def test_a_file_that_is_gone_is_not_taken_for_a_new_host(closed: Path) -> None:
    remove(closed)
    await refused(closed, "empty or gone")
    assert "agent.db" not in files(closed)


async def test_a_host_that_was_wiped_begins_anew(closed: Path) -> None:
    remove(*closed.parent.glob("agent.db*"))
    store = await Store.open(closed, host="inn-a", new_id="id-2")
    assert (store.store_id, await store.guests()) == ("id-2", [])
    await store.close()


async def test_a_page_half_of_which_was_written(closed: Path) -> None:
    # Page 3 holds a table's root; its second half is what another page has there.
    content = content_of(closed)
    overwrite(closed, 2 * PAGE, content[4 * PAGE : 4 * PAGE + PAGE // 2])
    await refused(closed, "malformed|Tree|page|index")


@pytest.mark.parametrize("seed", range(8))
async def test_random_bytes_in_a_page_of_a_tree(closed: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - which page, not a secret
    tables = 6
    overwrite(closed, chance.randrange(tables) * PAGE, chance.randbytes(PAGE))
    await refused(closed)


async def test_a_log_that_a_kill_cut_is_read_to_its_last_whole_commit(cut: Path) -> None:
    with wal_of(cut).open("ab") as file:
        file.write(b"\x01" * 2000)  # a commit that never came to its end
    store = await opened(cut)
    assert len(await store.guests()) == 40
    await store.close()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
async def test_a_log_that_lost_commits(cut: Path, share: float) -> None:
    # Its second half may be what was left of before the checkpoint.
    wal = wal_of(cut)
    with wal.open("r+b") as file:
        file.truncate(int(wal.stat().st_size * share))
    await refused(cut, "line 40 was committed|malformed|Tree|page")


@pytest.mark.parametrize("share", [0.2, 0.4])
async def test_random_bytes_in_the_log(cut: Path, share: float) -> None:
    wal = wal_of(cut)
    overwrite(wal, int(wal.stat().st_size * share), random.Random(1).randbytes(200))  # noqa: S311 - no secret
    await refused(cut, "line 40 was committed|malformed|Tree|page")


async def test_a_log_that_is_gone(cut: Path) -> None:
    wal_of(cut).unlink()
    await refused(cut, "line 40 was committed")


async def test_a_copy_of_yesterday_is_not_taken_for_today(closed: Path) -> None:
    yesterday = content_of(closed)
    store = await opened(closed)
    await store.bury(Tombstone("g000", Rank(1, 2), "signed"), at=AT)
    await store.close()
    replace(closed, yesterday)
    await refused(closed, "ends at line 40, and line 41 was committed")


async def test_another_stores_file_is_not_taken_for_this_one(closed: Path, tmp_path: Path) -> None:
    other = await Store.open(tmp_path / "other.db", host="inn-a", new_id="id-2")
    await other.close()
    replace(closed, content_of(tmp_path / "other.db"))
    await refused(closed, "not the store id-1")


@pytest.mark.parametrize("content", [b"", b"\0" * 60, b"nonsense\n"])
async def test_a_high_water_mark_that_cannot_be_read_holds_nobody_up(closed: Path, content: bytes) -> None:
    closed.with_name("agent.db-highwater").write_bytes(content)
    store = await opened(closed)
    assert len(await store.guests()) == 40
    await store.close()
    assert b"00000000000000000040 id-1" in closed.with_name("agent.db-highwater").read_bytes()


async def test_a_check_that_takes_too_long_is_left(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "CHECK_WITHIN_S", -1.0)
    monkeypatch.setattr(opening, "_STEPS_BETWEEN_LOOKS", 1)
    store = await opened(closed)
    assert len(await store.guests()) == 40
    await store.close()


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (lambda path: overwrite(path, 2 * PAGE, b"\xff" * 40 * PAGE), StoreDamagedError),
        (lambda path: sqlite3.connect(path).execute("BEGIN IMMEDIATE"), StoreUnusableError),
    ],
    ids=["damage", "a lock"],
)
async def test_trouble_at_work_is_told_as_an_error_of_ours(
    closed: Path, happens: Callable[[Path], object], told: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_LOCKED_FOR_S", 0.01)
    store = await opened(closed)
    kept = happens(closed)
    with pytest.raises(told):
        await write(store, range(40, 41))
    if isinstance(kept, sqlite3.Cursor):
        kept.connection.close()
    await store.close()


async def test_damage_at_work_is_told_by_the_host(host: AgentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its guests run on, and nothing new is placed there: an order that cannot be kept is never answered."""
    host.start()
    await host.assign(order())
    await host.told(guest_id(), "Running")

    async def damaged(*_: object, **__: object) -> None:
        raise StoreDamagedError(host.directory / "agent.db", "database disk image is malformed")

    monkeypatch.setattr(Store, "put", damaged)
    await host.assign(order(2))

    async def host_says_so() -> bool:
        ready = (await host.host_agent()).status.conditions[0]
        return (ready.status, ready.reason) == ("False", "StoreDamaged")

    await eventually(host_says_so)
    assert guest_id() in host.driver.running()
