"""The agent's process is killed between its writes, again and again: nothing that was committed is lost."""

import asyncio
import random
import sys
from contextlib import aclosing
from pathlib import Path

from innkeeper.agent.store.store import Store

# Writes until it is killed, and says each number once its commit returned.
WRITER = """
import asyncio, sys
from pathlib import Path
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.domain.host_store import Step
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome

async def main(path, number):
    store = await Store.open(path, host="inn-a", new_id="id-1")
    while True:
        at, guest = "2026-01-01T00:00:00Z", f"g{number}"
        if number % 3 == 2:
            await store.bury(Tombstone(f"g{number - 1}", Rank(1, 2), f"end {number}"), at=at)
        else:
            record = GuestRecord(guest, "o" * 2000, Rank(1, 1), "guests", "web", OrderOutcome.ACCEPTED, Life.UP,
                                 Ready(True, "Running"))
            await store.put(record, what=str(number), at=at, steps=[Step(at=at, reason=f"Step{number}")])
        print(number, flush=True)
        number += 1

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def killed_after(path: Path, first: int, count: int) -> int:
    """Write from a number on, kill the process after so many commits, and return the last that it told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), str(first), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        last = first - 1
        for _ in range(count):
            last = int(await process.stdout.readline())
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
    return int(rest.split()[-1]) if rest.split() else last


async def test_a_process_that_is_killed_loses_nothing_that_it_committed(tmp_path: Path) -> None:
    path, last = tmp_path / "agent.db", -1
    chance = random.Random(5)  # noqa: S311 - how often it writes, not a secret
    for _ in range(6):
        last = await killed_after(path, last + 1, chance.randrange(1, 60))
        store = await Store.open(path, host="inn-a", new_id="id-2")
        async with aclosing(_Closing(store)):
            assert store.store_id == "id-1"
            await holds_all(store, last)
            # One commit more may have come to its end before it was told.
            last = len(await store.changes(limit=10_000)) - 1


async def holds_all(store: Store, last: int) -> None:
    page = await store.snapshot(limit=10_000)
    guests = {each.guest_id: each for each in page.guests}
    tombstones = {each.guest_id: each for each in page.tombstones}
    for number in range(last + 1):
        if number % 3 == 0:
            assert [step.reason for step in guests[f"g{number}"].history] == [f"Step{number}"]
        elif number % 3 == 2:
            assert tombstones[f"g{number - 1}"].order == f"end {number}"
    lines = [line.seq for line in await store.changes(limit=10_000)]
    assert lines == list(range(1, len(lines) + 1))
    assert len(lines) in {last + 1, last + 2}


class _Closing:
    """A store that `aclosing` can close."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def aclose(self) -> None:
        await self._store.close()
