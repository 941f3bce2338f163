"""Which bytes a `Range` header asks for."""

import pytest

from innkeeper.images.ranges import ByteRange, UnsatisfiableError, wanted


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 6)),
        ("bytes=7-", ByteRange(7, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-30", ByteRange(0, 10)),
        ("bytes=4-999", ByteRange(4, 10)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=0x1-2", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_a_range_of_ten_bytes(header: str | None, expected: ByteRange | None) -> None:
    assert wanted(header, size=10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_without_a_byte_is_refused(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        wanted(header, size=10)
