"""A file that is opened for somebody who left meanwhile."""

import asyncio
import threading

import pytest

from innkeeper.images.opened import opened
from tests.kit.waiting import eventually


class File:
    """A file that is slow to open, as on a disk that hangs."""

    def __init__(self) -> None:
        self.may_open = threading.Event()
        self.is_open = False

    def open(self) -> "File":
        self.may_open.wait(60)
        self.is_open = True
        return self

    def close(self) -> None:
        self.is_open = False
        self.closed = True

    closed = False


async def test_a_file_that_opens_too_late_is_closed() -> None:
    file = File()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), opened(file.open):
            pytest.fail("it did not wait for the file")
    file.may_open.set()
    await eventually(lambda: file.closed)
    assert not file.is_open


async def test_a_file_is_open_for_as_long_as_it_is_used() -> None:
    file = File()
    file.may_open.set()
    async with opened(file.open) as found:
        assert found.is_open
    assert file.closed
