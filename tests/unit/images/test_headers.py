"""Headers of disk images: what is accepted, and everything that would make QEMU open another file."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.images.headers import ImageHeader, ImageHeaderError, parse
from innkeeper.domain.reasons import ImageReason
from tests.kit.disks import qcow2_disk, raw_disk

GIB = 1024**3
RAW = raw_disk(1024 * 1024)
QCOW2 = qcow2_disk(virtual_size=2 * GIB)


def patched(offset: int, form: str, value: int, *, image: bytes = QCOW2) -> bytes:
    return image[:offset] + struct.pack(form, value) + image[offset + struct.calcsize(form) :]


def with_extension(kind: int, content: bytes) -> bytes:
    padded = content.ljust((len(content) + 7) // 8 * 8, b"\0")
    extension = struct.pack(">II", kind, len(content)) + padded
    return QCOW2[:104] + extension + QCOW2[104 + len(extension) :]


def refusal(image: bytes, *, declared: str = "qcow2") -> ImageHeaderError:
    with pytest.raises(ImageHeaderError) as caught:
        parse(image[:65536], size=len(image), declared=declared)
    return caught.value


def test_good_images() -> None:
    assert parse(RAW, size=len(RAW), declared="raw") == ImageHeader("raw", len(RAW))
    assert parse(QCOW2, size=len(QCOW2), declared="qcow2") == ImageHeader("qcow2", 2 * GIB)


def test_version_2_has_no_features() -> None:
    old = patched(4, ">I", 2)
    assert parse(old, size=len(old), declared="qcow2").virtual_size == 2 * GIB


@pytest.mark.parametrize("feature", [3], ids=["compression"])
def test_harmless_features(feature: int) -> None:
    image = patched(72, ">Q", 1 << feature)
    assert parse(image, size=len(image), declared="qcow2").format == "qcow2"


def test_harmless_extensions() -> None:
    image = with_extension(0x6803F857, b"feature names")
    assert parse(image, size=len(image), declared="qcow2").format == "qcow2"


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(qcow2_disk(virtual_size=GIB, backing_offset=512, backing_size=11), id="backing file"),
        pytest.param(patched(72, ">Q", 1 << 2), id="external data file"),
        pytest.param(with_extension(0x44415441, b"/etc/shadow"), id="name of a data file"),
        pytest.param(patched(72, ">Q", 1 << 40), id="unknown feature"),
        pytest.param(patched(32, ">I", 2), id="encrypted"),
    ],
)
def test_unsafe_images(image: bytes) -> None:
    assert refusal(image).reason == ImageReason.UNSAFE_IMAGE


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(b"", id="empty"),
        pytest.param(QCOW2[:20], id="cut short"),
        pytest.param(QCOW2[:104], id="no end of extensions"),
        pytest.param(patched(4, ">I", 9), id="version"),
        pytest.param(patched(20, ">I", 63), id="cluster size"),
        pytest.param(patched(24, ">Q", 0), id="no disk"),
        pytest.param(patched(72, ">Q", 1 << 1), id="corrupt"),
        pytest.param(patched(100, ">I", 8), id="header length"),
        pytest.param(with_extension(0x6803F857, b"x" * 8)[:112] + b"\xff" * 900, id="endless extensions"),
        pytest.param(b"<!DOCTYPE html><html></html>", id="a web page"),
    ],
)
def test_what_is_no_qcow2(image: bytes) -> None:
    assert refusal(image).reason == ImageReason.NOT_AN_IMAGE


@pytest.mark.parametrize(
    "content", [b"", RAW[:1000], b"\0" * 4096, b"<!DOCTYPE html>".ljust(4096), b"\x7fELF".ljust(512)]
)
def test_what_is_no_raw_disk(content: bytes) -> None:
    assert refusal(content, declared="raw").reason == ImageReason.NOT_AN_IMAGE


@pytest.mark.parametrize(
    "begins", [QCOW2[:200], b"KDMV", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"LUKS\xba\xbe", b"PK\x03\x04"]
)
def test_a_raw_disk_that_is_something_else(begins: bytes) -> None:
    """A guest could write a qcow2 header onto its raw disk: a boot signature behind it changes nothing."""
    disguised = begins + RAW[len(begins) :]
    assert refusal(disguised, declared="raw").reason == ImageReason.FORMAT_MISMATCH


def test_a_raw_disk_declared_as_qcow2() -> None:
    assert refusal(RAW).reason == ImageReason.FORMAT_MISMATCH


def test_an_unknown_format() -> None:
    assert refusal(RAW, declared="vmdk").reason == ImageReason.FORMAT_MISMATCH


@given(st.binary(max_size=600), st.sampled_from(["raw", "qcow2"]))
def test_any_bytes_end_in_a_header_or_a_refusal(content: bytes, declared: str) -> None:
    for image in (content, b"QFI\xfb" + content, QCOW2[:72] + content):
        with suppress(ImageHeaderError):
            assert parse(image, size=len(image), declared=declared).virtual_size > 0
