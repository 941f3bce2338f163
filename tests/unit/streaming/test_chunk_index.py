"""Chunks of other images on this host: found by their content, for as long as their files are there."""

import gc
import hashlib
import weakref
from pathlib import Path

from innkeeper.agent.streaming.chunk_file import ChunkFile
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.agent.streaming.whole_images import WholeImage
from innkeeper.domain.images import manifest
from tests.kit.streams import a_disk, manifest_of


def whole_image(directory: Path, seed: int) -> WholeImage:
    content = a_disk(seed)
    path = directory / str(seed)
    path.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return WholeImage(
        path, manifest.read(manifest_of(content, digest=digest), digest=digest, size=len(content))
    )


def test_a_chunk_is_found_in_another_image(tmp_path: Path) -> None:
    index, image = ChunkIndex(), whole_image(tmp_path, 1)
    index.add("one", image)
    wanted = image.chunks.digest(2)
    assert index.find(wanted, besides="two") == image.read(2)
    assert index.find(wanted, besides="one") is None


def test_images_that_were_dropped_are_forgotten_however_long_the_process_lives(tmp_path: Path) -> None:
    index, held = ChunkIndex(), list[weakref.ref[WholeImage]]()
    for seed in range(3):
        image = whole_image(tmp_path, seed)
        held.append(weakref.ref(image))
        index.add(str(seed), image)
        del image
        (tmp_path / str(seed)).unlink()
        gc.collect()
    assert [each() is None for each in held] == [True, True, False], "the last one was there when it came"


def test_an_image_that_ends_while_another_looks_for_its_chunk_has_it_no_more(tmp_path: Path) -> None:
    content, index = a_disk(1), ChunkIndex()
    file = ChunkFile(tmp_path / "one.stream", whole_image(tmp_path, 1).chunks)
    start, end = file.chunks.span(2)
    file.write(2, content[start:end])
    index.add("one", file)
    assert index.find(file.chunks.digest(2), besides="two") == content[start:end]
    file.close()  # and whoever looks now took the names of all images just before
    assert index.find(file.chunks.digest(2), besides="two") is None
