"""The hosts bench splits its agents over processes, whose memory is not searched as a whole while guests are built."""

import gc
import os
from collections.abc import Iterator

import pytest
from kit.many_hosts.agents import ALL_READY, search_memory_from
from kit.many_hosts.main import portions

from tests.kit.waiting import eventually


@pytest.mark.parametrize(
    ("first", "count", "each", "found"),
    [
        (0, 20, 1500, [(0, 20)]),
        (20, 60, 1500, [(20, 60)]),
        (0, 5000, 1500, [(0, 1250), (1250, 2500), (2500, 3750), (3750, 5000)]),
        (3, 8, 2, [(3, 4), (4, 6), (6, 8)]),
    ],
)
def test_parts_are_nearly_equal_and_none_is_too_large(
    first: int, count: int, each: int, found: list[tuple[int, int]]
) -> None:
    assert portions(first, count, each=each) == found
    assert max(end - begin for begin, end in found) <= each


@pytest.fixture
def searches() -> Iterator[None]:
    """Have the searches of this process as they were."""
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("searches")
async def test_what_joined_holds_up_no_guest_and_what_comes_later_is_searched() -> None:
    search_memory_from(ALL_READY)
    joined = [{}]
    assert not gc.isenabled()
    os.kill(os.getpid(), ALL_READY)
    await eventually(gc.isenabled)
    later = [{}]
    searched = gc.get_objects()
    assert not any(each is joined for each in searched)
    assert any(each is later for each in searched)
