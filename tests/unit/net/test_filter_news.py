"""What netlink tells of removals: whose table it was, and nothing where the message is none."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.agent.net.filter_news import removed_from

NEW_RULE, REMOVED_RULE, REMOVED_ELEMENT = (10 << 8 | kind for kind in (6, 8, 14))


def message(kind: int, table: str) -> bytes:
    """Return a message as the kernel makes it: the table's name behind another attribute."""
    attributes = b"".join(
        struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
        for number, value in ((2, b"odd"), (1, table.encode() + b"\0"))
    )
    body = bytes(4) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 7, 4711) + body


def test_only_removals_are_told_each_with_its_table() -> None:
    news = [
        message(NEW_RULE, "made"),
        message(REMOVED_RULE, "gone"),
        message(REMOVED_ELEMENT, "guest"),
        message(REMOVED_RULE, "innkeeper"),
    ]
    assert list(removed_from(b"".join(news))) == ["gone", "innkeeper"]


@given(st.binary(max_size=200))
def test_noise_says_nothing_for_long(noise: bytes) -> None:
    told = list(removed_from(message(REMOVED_RULE, "innkeeper") + noise))
    assert told[0] == "innkeeper"
    assert len(told) <= 1 + len(noise) // 16
