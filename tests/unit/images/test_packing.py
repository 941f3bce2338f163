"""Bytes packed for their way to a host come out as they were, each piece as soon as it came; what is bad is refused."""

import random
import sys

import pytest

from innkeeper.domain.images.packing import Packer, PackingError, Unpacker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 256 * 1024


def noise(count: int) -> bytes:
    return random.Random(1).randbytes(count)  # noqa: S311 - any bytes will do


def unpacked(unpacker: Unpacker, given: bytes, count: int) -> bytes:
    """Return up to `count` bytes of what was given."""
    found = unpacker.unpack(given, most=count)
    while len(found) < count and not unpacker.is_hungry:
        found += unpacker.unpack(b"", most=count - len(found))
    return found


def test_each_piece_can_be_read_before_the_next_has_come() -> None:
    packer, unpacker = Packer(), Unpacker(3 * PIECE)
    for piece in (noise(PIECE), bytes(PIECE), b"some words " * (PIECE // 11)):
        assert unpacked(unpacker, packer.pack(piece), len(piece)) == piece
    assert unpacker.unpack(packer.end(), most=1) == b""
    with pytest.raises(EOFError):
        unpacker.unpack(b"", most=1)


def test_what_cannot_be_made_shorter_passes_in_small_pieces_too() -> None:
    packer, content = Packer(), noise(PIECE)
    unpacker = Unpacker(len(content))
    for start in range(0, len(content), 4096):
        piece = content[start : start + 4096]
        assert unpacked(unpacker, packer.pack(piece), len(piece)) == piece


def test_no_more_comes_out_than_is_asked_for() -> None:
    """A frame of a few bytes may hold gigabytes."""
    packer = Packer()
    bomb = b"".join(packer.pack(bytes(16 * PIECE)) for _ in range(16))
    unpacker = Unpacker(PIECE)
    assert unpacker.unpack(bomb, most=PIECE) == bytes(PIECE)


def test_a_frame_longer_than_what_was_asked_for_is_refused() -> None:
    unpacker = Unpacker(PIECE)
    with pytest.raises(PackingError, match="more than was asked for"):
        unpacker.unpack(Packer().pack(noise(2 * PIECE)), most=PIECE)


def test_a_window_beyond_what_every_decoder_has_is_refused() -> None:
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    wide = stream.compress(noise(PIECE)) + stream.flush()
    with pytest.raises(PackingError, match="cannot be unpacked"):
        Unpacker(PIECE).unpack(wide, most=PIECE)


@pytest.mark.parametrize("given", [b"plain words", noise(1000), b"\x28\xb5\x2f\xfd" + noise(100)])
def test_what_is_no_frame_is_refused(given: bytes) -> None:
    with pytest.raises(PackingError, match="cannot be unpacked"):
        unpacked(Unpacker(PIECE), given, PIECE)
