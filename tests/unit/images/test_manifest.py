"""The chunk manifest: whatever the pieces it was made from, it says what each chunk is, and no other bytes pass."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.images import manifest
from innkeeper.domain.images.manifest import Chunks, Manifest, ManifestInvalidError, ManifestMaker

CHUNK = 64 * 1024
DIGEST = f"sha256:{'a' * 64}"


def made_of(*pieces: bytes) -> Manifest:
    maker = ManifestMaker(CHUNK)
    for piece in pieces:
        maker.take(piece)
    return maker.manifest(DIGEST)


def read(made: Manifest) -> Chunks:
    return manifest.read(made.encode(), digest=DIGEST, size=made.size)


@given(st.lists(st.integers(1, 3 * CHUNK), max_size=5), st.integers(0, 3 * CHUNK))
def test_the_pieces_do_not_matter(cuts: list[int], zeros: int) -> None:
    content = bytes(zeros) + b"".join(bytes([index % 251 + 1]) * cut for index, cut in enumerate(cuts))
    pieces, rest = [], content
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    made = made_of(*pieces, rest)
    assert made == made_of(content)
    chunks = read(made)
    assert len(chunks) == -(-len(content) // CHUNK)
    for index in range(len(chunks)):
        start, end = chunks.span(index)
        part = content[start:end]
        assert chunks.matches(index, part)
        assert chunks.is_zero(index) == (not any(part))
        assert not chunks.matches(index, part[:-1] + bytes([part[-1] ^ 1]))
        assert not chunks.matches(index, part + b"x")


def test_runs_leave_out_what_is_zero() -> None:
    full, empty = b"x" * CHUNK, bytes(CHUNK)
    chunks = read(made_of(full, empty, empty, full, full, empty))
    assert [index for index in range(len(chunks)) if not chunks.is_zero(index)] == [0, 3, 4]
    assert chunks.is_zero_run(1, 3)
    assert not chunks.is_zero_run(1, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"chunk_bytes": 1},
        {"chunk_bytes": CHUNK + 1},
        {"digest": f"sha256:{'b' * 64}"},
        {"size": CHUNK},
        {"chunks": "not base64"},
        {"chunks": base64.b64encode(bytes(32)).decode()},
    ],
)
def test_another_manifest_is_refused(wrong: dict[str, object]) -> None:
    good = made_of(b"x" * (2 * CHUNK + 7))
    forged = msgspec.structs.replace(good, **wrong)
    with pytest.raises(ManifestInvalidError):
        manifest.read(forged.encode(), digest=DIGEST, size=good.size)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_or_refused(content: bytes) -> None:
    with pytest.raises(ManifestInvalidError):
        manifest.read(content, digest=DIGEST, size=10)
