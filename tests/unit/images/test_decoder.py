"""The decoders: whatever is legal comes out as it was, and whatever is not ends in a message and not in memory."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.images.compression import Compression, found_in
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.given_manifest import WrongContentError
from innkeeper.images.unpacking.decoder import PIECE_BYTES, Decoder
from tests.kit.compressed import COMPRESSORS

CONTENT = b"one" * 50_000 + random.Random(1).randbytes(100_000) + bytes(3_000_000)  # noqa: S311 - no secret
each_kind = pytest.mark.parametrize("kind", list(Compression))


def unpack(kind: Compression, parts: Iterable[bytes]) -> bytes:
    """Return what the parts of one file unpack to."""
    decoder = Decoder(kind)
    pieces = [piece for part in parts for piece in decoder.feed(part)]
    decoder.finish()
    assert max(map(len, pieces), default=0) <= PIECE_BYTES
    return b"".join(pieces)


def refusal(kind: Compression, packed: bytes) -> WrongContentError:
    """Return why a file is refused; it is refused for good."""
    with pytest.raises(WrongContentError) as refused:
        unpack(kind, [packed])
    assert not refused.value.retryable
    return refused.value


@each_kind
@pytest.mark.parametrize("part", [1, 7, 16 * 1024, 10_000_000])
def test_what_was_packed_comes_out_whatever_the_parts(kind: Compression, part: int) -> None:
    packed = COMPRESSORS[kind](CONTENT)
    assert unpack(kind, (packed[start : start + part] for start in range(0, len(packed), part))) == CONTENT


@each_kind
@given(members=st.lists(st.binary(max_size=200), min_size=1, max_size=8), part=st.integers(1, 100))
def test_members_are_one_content(kind: Compression, members: list[bytes], part: int) -> None:
    packed = b"".join(map(COMPRESSORS[kind], members))
    parts = (packed[start : start + part] for start in range(0, len(packed), part))
    assert unpack(kind, parts) == b"".join(members)


@pytest.mark.parametrize("padding", [4, 4 * 10_000])
def test_xz_may_be_padded_between_streams_and_behind_them(padding: int) -> None:
    """In groups of four zeros: https://tukaani.org/xz/xz-file-format.txt, 2.2."""
    stream, zeros = COMPRESSORS[Compression.XZ](b"abc"), bytes(padding)
    assert unpack(Compression.XZ, [stream + zeros + stream + zeros]) == b"abcabc"
    assert refusal(Compression.XZ, stream + zeros + b"\0").reason == ImageReason.COMPRESSION_INVALID
    assert refusal(Compression.XZ, stream + zeros + b"\0" + stream).reason == ImageReason.COMPRESSION_INVALID
    assert refusal(Compression.XZ, zeros + stream).reason == ImageReason.FORMAT_MISMATCH


def test_zstd_may_carry_frames_without_content() -> None:
    """As `pzstd` writes them at the beginning, and seekable files at the end (RFC 8878, 3.1.2)."""
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    frame = COMPRESSORS[Compression.ZSTD](b"abc")
    assert unpack(Compression.ZSTD, [skippable + frame + skippable]) == b"abc"


@each_kind
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_is_refused(kind: Compression, kept: float) -> None:
    packed = COMPRESSORS[kind](CONTENT)
    error = refusal(kind, packed[: max(6, int(len(packed) * kept))])
    assert error.reason == ImageReason.COMPRESSION_INVALID
    assert "copied whole" in error.message


@each_kind
def test_a_member_that_was_cut_is_refused(kind: Compression) -> None:
    packed = COMPRESSORS[kind](CONTENT)
    assert "copied whole" in refusal(kind, packed + packed[:-1]).message


@each_kind
@pytest.mark.parametrize("behind", [b"x" * 16, b"\0" * 3 + b"x", b"<html>" * 10_000])
def test_bytes_behind_the_end_are_refused(kind: Compression, behind: bytes) -> None:
    error = refusal(kind, COMPRESSORS[kind](CONTENT) + behind)
    assert error.reason == ImageReason.COMPRESSION_INVALID
    assert "followed by something else" in error.message


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.XZ])
def test_a_flipped_bit_is_found(kind: Compression) -> None:
    """By the checksum of the format; zstd's is optional, and the digest of the file is looked at in any case."""
    packed = bytearray(COMPRESSORS[kind](CONTENT))
    packed[len(packed) // 2] ^= 1
    assert refusal(kind, bytes(packed)).reason == ImageReason.COMPRESSION_INVALID


@each_kind
def test_a_bomb_gives_no_more_than_is_taken(kind: Compression) -> None:
    """64 GiB in a few bytes: who stops after two pieces has paid for two pieces."""
    decoder = Decoder(kind)
    pieces = decoder.feed(COMPRESSORS[kind](bytes(64 * 1024**2)) * 1000)
    assert len(next(pieces) + next(pieces)) <= 2 * PIECE_BYTES


@pytest.mark.parametrize(
    ("kind", "actual"),
    [(kind, actual) for kind in Compression for actual in (*Compression, None) if kind != actual],
)
def test_what_is_declared_must_be_there(kind: Compression, actual: Compression | None) -> None:
    packed = COMPRESSORS[actual](CONTENT) if actual else CONTENT
    error = refusal(kind, packed)
    assert error.reason == ImageReason.FORMAT_MISMATCH
    assert f"spec.compression is {kind}" in error.message
    assert (f"set spec.compression: {actual}" if actual else "not compressed") in error.message


@each_kind
@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b"])
def test_a_file_that_is_too_short_to_be_anything_is_refused(kind: Compression, content: bytes) -> None:
    assert refusal(kind, content).reason in {ImageReason.FORMAT_MISMATCH, ImageReason.COMPRESSION_INVALID}


@each_kind
def test_a_file_tells_how_it_is_compressed(kind: Compression) -> None:
    assert found_in(COMPRESSORS[kind](b"abc")) == kind
    assert found_in(b"\xeb\x63\x90GRUB") is None
    assert found_in(b"") is None
