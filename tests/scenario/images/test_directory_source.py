"""A user's path never leaves the image server's directory."""

import os
from pathlib import Path

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.directory import DirectoryFile
from innkeeper.images.sources.source import SourceError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "disk.raw").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "inner-link").symlink_to("deep/er/disk.raw")
    (root / "up").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    return root


async def test_a_file_in_a_subdirectory(root: Path) -> None:
    assert (await DirectoryFile(root, "deep/er/disk.raw").stat()).size == 6
    assert (await DirectoryFile(root, "./deep//er/disk.raw").stat()).size == 6


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "deep/../../secret",
        "/etc/passwd",
        "",
        "..",
        "link",
        "inner-link",
        "up/secret",
        "a\0b",
        "x" * 2000,
    ],
)
async def test_no_way_out(root: Path, path: str) -> None:
    with pytest.raises(SourceError) as caught:
        await DirectoryFile(root, path).stat()
    assert caught.value.reason == ImageReason.SOURCE_REFUSED
    assert not caught.value.retryable


@pytest.mark.parametrize("path", ["deep", "pipe"])
async def test_only_regular_files_and_without_waiting(root: Path, path: str) -> None:
    with pytest.raises(SourceError) as caught:
        await DirectoryFile(root, path).stat()
    assert caught.value.reason == ImageReason.SOURCE_REFUSED


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_is_left_open(root: Path) -> None:
    before = open_descriptors()
    for path in ("deep/er/disk.raw", "link", "pipe", "missing", "deep/missing/x", "up/secret"):
        try:
            await DirectoryFile(root, path).stat()
            async for _ in DirectoryFile(root, path).read(0, 1):
                pass
        except SourceError:
            continue
    assert open_descriptors() == before


async def test_a_file_put_in_place_of_the_one_that_is_read_does_not_mix_in(root: Path) -> None:
    big = root / "big"
    big.write_bytes(b"a" * 3_000_000)
    source = DirectoryFile(root, "big")
    info = await source.stat()
    seen = bytearray()
    async for chunk in source.read(0, info.size):
        seen += chunk
        new = root / "new"
        new.write_bytes(b"b" * 3_000_000)
        new.rename(big)
    assert set(seen) == {ord("a")}
    assert await source.stat() != info
