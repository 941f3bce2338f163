"""The store of unpacked images: what goes, what stays, and what a start finds."""

import hashlib
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.source import SourceError
from innkeeper.images.unpacking.partial import StoreError
from innkeeper.images.unpacking.store import IN_USE_S, Store
from tests.kit.clock import ManualClock

KIB = 1024
SIZE = 512 * KIB  # of each image; three fit


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def content_of(number: int) -> bytes:
    return bytes([number + 1]) * SIZE


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def opened(directory: Path, clock: ManualClock) -> Store:
    return Store(directory, clock=clock, max_bytes=3 * SIZE)


async def put(store: Store, number: int) -> str:
    """Keep an image as the unpacker does; return its digest."""
    file = await store.begin()
    try:
        file.write(content_of(number))
        await store.make_room(file)
        await store.keep(file, digest_of(content_of(number)))
    finally:
        await store.drop(file)
    return digest_of(content_of(number))


async def read(store: Store, digest: str, start: int = 0, end: int = SIZE) -> bytes:
    found = store.find(digest)
    assert found is not None
    async with aclosing(found.read(start, end)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_any_part_can_be_read(tmp_path: Path) -> None:
    store = opened(tmp_path, ManualClock())
    digest = await put(store, 0)
    found = store.find(digest)
    assert found is not None
    assert (await found.stat()).size == SIZE
    assert await read(store, digest, 1000, 1010) == content_of(0)[1000:1010]
    assert store.find(digest_of(b"another")) is None
    store.close()


async def test_what_was_not_read_for_longest_goes_first(tmp_path: Path) -> None:
    clock = ManualClock()
    store = opened(tmp_path, clock)
    first, second, third = [await put(store, number) for number in range(3)]
    for digest in (first, third, second, first):
        clock.advance(IN_USE_S + 1)
        await read(store, digest, 0, 1)
    clock.advance(IN_USE_S + 1)
    await put(store, 3)
    assert store.find(third) is None
    assert store.find(first) is not None
    assert store.find(second) is not None
    assert store.used == 3 * SIZE
    assert not (tmp_path / third.removeprefix("sha256:")).exists()
    store.close()


async def test_what_is_being_read_never_goes(tmp_path: Path) -> None:
    """Neither an open reading, however long it takes, nor one that asks part by part."""
    clock = ManualClock()
    store = opened(tmp_path, clock)
    slow, asked, third = [await put(store, number) for number in range(3)]
    found = store.find(slow)
    assert found is not None
    async with aclosing(found.read(0, SIZE)) as chunks:
        await anext(chunks)
        clock.advance(IN_USE_S * 10)
        await read(store, asked, 0, 1)
        await read(store, third, 0, 1)
        clock.advance(IN_USE_S - 1)
        with pytest.raises(StoreError) as full:
            await put(store, 3)
        assert (full.value.reason, full.value.retryable) == (ImageReason.STORE_FULL, True)
        assert store.used == 3 * SIZE
    assert len(names_in(tmp_path)) == 4, "three images and the lock"
    clock.advance(2)
    await put(store, 3)
    assert store.find(slow) is None, "now it was not read for longest"
    store.close()


async def test_a_start_finds_whole_files_and_removes_what_a_crash_left(tmp_path: Path) -> None:
    clock = ManualClock()
    store = opened(tmp_path, clock)
    old, new = await put(store, 0), await put(store, 1)
    begun = await store.begin()
    begun.write(content_of(2))
    await read(store, old, 0, 1)
    clock.advance(IN_USE_S + 1)
    await read(store, new, 0, 1)
    (tmp_path / "notes.txt").write_text("an admin's")
    store.close()  # as if it were killed: nothing else is tidied up

    clock.advance(IN_USE_S + 1)
    again = opened(tmp_path, clock)
    kept = {digest.removeprefix("sha256:") for digest in (old, new)}
    assert names_in(tmp_path) == {*kept, "lock", "notes.txt"}
    assert await read(again, new) == content_of(1)
    assert again.used == 2 * SIZE
    await put(again, 2)
    await put(again, 3)
    assert again.find(old) is None, "when each was read is known after a restart"
    again.close()


async def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    """Another process would take what is being written for what a crash left."""
    store = opened(tmp_path, ManualClock())
    with pytest.raises(OSError, match="another image server uses this --store-directory"):
        opened(tmp_path, ManualClock())
    store.close()
    opened(tmp_path, ManualClock()).close()


@pytest.mark.parametrize("harm", [os.remove, lambda path: os.truncate(path, 10)])
async def test_a_file_that_was_lost_can_be_made_again(tmp_path: Path, harm: object) -> None:
    store = opened(tmp_path, ManualClock())
    digest = await put(store, 0)
    assert callable(harm)
    harm(tmp_path / digest.removeprefix("sha256:"))
    with pytest.raises(SourceError) as gone:
        await read(store, digest)
    assert gone.value.retryable
    assert store.find(digest) is None
    assert store.used == 0
    await put(store, 0)
    assert await read(store, digest) == content_of(0)
    store.close()
