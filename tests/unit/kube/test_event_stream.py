"""A watch's events come in batches, whatever way the wire cuts them; what goes wrong is told behind what came before."""

import asyncio
import json
from typing import Any, cast

import pytest

from innkeeper.kube.connection import Answer, LostConnectionError
from innkeeper.kube.errors import GoneError, UnavailableError
from innkeeper.kube.event_stream import EventStream
from innkeeper.kube.views import ConfigMap


class Chunks:
    """What the stream needs of `Answer`."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = list(chunks)

    async def chunk(self) -> bytes:
        if not self._chunks:
            await asyncio.Event().wait()
        found = self._chunks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def stream(*chunks: bytes | Exception, ends_within_s: float = 60) -> EventStream[ConfigMap]:
    return EventStream(cast("Answer", Chunks(*chunks)), ConfigMap, ends_within_s=ends_within_s)


def event(version: int, kind: str = "MODIFIED", **more: Any) -> bytes:
    metadata = {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": {"metadata": metadata, **more}}).encode() + b"\n"


async def versions(found: EventStream[ConfigMap]) -> list[str] | None:
    events = await found.batch(within_s=5)
    return None if events is None else [each.resource_version for each in events]


async def test_what_comes_together_is_one_batch() -> None:
    found = stream(event(1) + event(2), event(3), b"")
    assert [await versions(found) for _ in range(3)] == [["1", "2"], ["3"], []]


async def test_an_event_that_is_cut_is_waited_for() -> None:
    whole = event(1) + event(2)
    found = stream(whole[:30], whole[30:-10], whole[-10:], b"")
    assert [await versions(found) for _ in range(3)] == [["1"], ["2"], []]


async def test_nothing_in_time_is_told_and_loses_nothing() -> None:
    found = stream(event(1))
    assert await versions(found) == ["1"]
    assert await found.batch(within_s=0.01) is None


async def test_what_came_before_an_error_is_told_first() -> None:
    status = {"kind": "Status", "code": 410, "message": "too old resource version"}
    error = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    found = stream(event(1) + event(2) + error + event(3))
    assert await versions(found) == ["1", "2"]
    for _ in range(2):
        with pytest.raises(GoneError, match="too old"):
            await found.batch(within_s=5)


async def test_a_lost_connection_is_told() -> None:
    found = stream(event(1), LostConnectionError("gone"))
    assert await versions(found) == ["1"]
    with pytest.raises(LostConnectionError):
        await found.batch(within_s=5)


async def test_a_server_that_never_ends_a_watch_is_left() -> None:
    with pytest.raises(UnavailableError, match="in time"):
        await stream(ends_within_s=0.01).batch(within_s=5)


async def test_bookmarks_and_objects_are_told_apart() -> None:
    bookmark = event(9, "BOOKMARK")
    found = await stream(event(1, "ADDED", data={"x": "1"}) + bookmark + event(2, "DELETED")).batch()
    assert found is not None
    told = [(each.type, each.resource_version, each.object is not None) for each in found]
    assert told == [("ADDED", "1", True), ("BOOKMARK", "9", False), ("DELETED", "2", True)]


async def test_each_event_until_the_end() -> None:
    found = stream(event(1) + event(2), event(3), b"")
    assert [each.resource_version async for each in found.each()] == ["1", "2", "3"]
