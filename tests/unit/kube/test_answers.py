"""What the API server sends is read with care: a strange object is left out by name, a strange line is an error."""

import json
from typing import Any

import pytest

from innkeeper.kube import errors
from innkeeper.kube.answers import EventReader, Lines
from innkeeper.views.network import IPAddress

READER = EventReader(IPAddress)


def line(kind: str, document: Any) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode()


def address(**spec: Any) -> dict[str, Any]:
    whole = {"pool": "p", "addressSpace": "default", "address": "10.0.0.1", **spec}
    return {"metadata": {"name": "a", "resourceVersion": "7"}, "spec": whole}


def test_an_event_carries_its_object_and_version() -> None:
    event = READER.event(line("MODIFIED", address()))
    assert event.object is not None
    assert (event.type, event.resource_version) == ("MODIFIED", "7")
    assert event.object.spec.address == "10.0.0.1"


def test_a_bookmark_carries_a_version_only() -> None:
    document = {"kind": "IPAddress", "metadata": {"resourceVersion": "9", "creationTimestamp": None}}
    event = READER.event(line("BOOKMARK", document))
    assert (event.type, event.resource_version, event.object) == ("BOOKMARK", "9", None)


@pytest.mark.parametrize(
    ("code", "kind"), [(410, errors.GoneError), (500, errors.UnavailableError), (429, errors.ThrottledError)]
)
def test_an_error_event_is_raised(code: int, kind: type[errors.ApiError]) -> None:
    with pytest.raises(kind, match="too old"):
        READER.event(line("ERROR", {"kind": "Status", "code": code, "message": "too old"}))


def test_the_watch_goes_on_behind_an_object_that_cannot_be_read() -> None:
    event = READER.event(line("ADDED", address(pool=7)))
    assert (event.type, event.resource_version, event.object) == ("UNREADABLE", "7", None)


def test_a_deletion_that_cannot_be_read_asks_for_a_new_list() -> None:
    with pytest.raises(errors.GoneError):
        READER.event(line("DELETED", address(pool=7)))


@pytest.mark.parametrize(
    "text", [b"nonsense", b"{}", b'{"type":"ADDED"}', b"\xff\xfe", b'{"type":"ADDED","object":{}}']
)
def test_a_line_that_is_no_event_is_told(text: bytes) -> None:
    with pytest.raises(errors.UnreadableError):
        READER.event(text)


def lines(*chunks: bytes) -> list[bytes]:
    found = Lines()
    return [line for chunk in chunks for line in found.of(chunk)]


def test_lines_may_be_cut_anywhere() -> None:
    assert lines(b"on", b"e\ntwo\n\nth", b"ree\n") == [b"one", b"two", b"three"]


def test_a_line_may_be_larger_than_any_buffer() -> None:
    assert [len(each) for each in lines(*[b"x" * 100_000] * 10, b"\n")] == [1_000_000]


def test_what_has_no_end_is_not_read_to_its_end() -> None:
    with pytest.raises(errors.UnavailableError, match="larger than"):
        lines(*[b"x" * 1_000_000] * 6)


def test_a_half_line_at_the_end_is_no_event() -> None:
    assert lines(b"one\n{") == [b"one"]
