"""How fast a whole image is read through its export, beside qemu-nbd: the same file, the same reader, in turns."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.imaging.overlay import stream_backing
from kit import steps
from kit.stream.cases import streaming
from kit.stream.image import BenchImage

BLOCK_KIB = (64, 256, 1024)
MAIN_KIB = 1024  # what a block job and a copy read at once
TURNS = 3
READ_MIB = 1024
_TOOK = re.compile(r"Run completed in ([0-9.]+) seconds")


async def compare(image: BenchImage, directory: Path) -> dict[str, dict[int, float]]:
    """Return MiB/s by reader and block size in KiB: the best of some turns."""
    files = ImageFiles(directory / "export")
    files.make()
    name = image.name
    image.path.rename(files.whole_of(name))
    image.manifest.rename(files.manifest(name))
    best: dict[str, dict[int, float]] = {"export": {}, "qemu-nbd": {}}
    moved = BenchImage(
        path=files.whole_of(name),
        manifest=files.manifest(name),
        digest=image.digest,
        manifest_digest=image.manifest_digest,
        full_bytes=image.full_bytes,
    )
    async with streaming(files) as streamer:
        await streamer.serve(moved.ordered_from("http://127.0.0.1:1"), "reader")
        with _qemu_nbd(moved.path, directory / "peer.sock") as peer:
            urls = {"export": stream_backing(name, files.nbd_socket).name, "qemu-nbd": peer}
            for _ in range(TURNS):
                for kib in BLOCK_KIB:
                    for reader, url in urls.items():
                        best[reader][kib] = max(best[reader].get(kib, 0), _mib_s(url, kib))
    return best


def _mib_s(url: str, kib: int) -> float:
    count = READ_MIB * 1024 // kib
    words = ["qemu-img", "bench", "-f", "raw", "-c", str(count), "-d", "8", "-s", f"{kib}k", url]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = _TOOK.search(done.stdout)
    if done.returncode or not found:
        raise steps.StepError(f"qemu-img bench failed: {done.stderr[-300:]}")
    return READ_MIB / float(found[1])


@contextmanager
def _qemu_nbd(path: Path, socket: Path) -> Iterator[str]:
    words = ["qemu-nbd", "-r", "-f", "raw", "-k", str(socket), "-x", "image", "-e", "8", "-t", str(path)]
    process = subprocess.Popen(words)
    try:
        deadline = time.monotonic() + 10
        while not socket.exists():
            if time.monotonic() > deadline:
                raise steps.StepError("qemu-nbd does not listen")
            time.sleep(0.02)
        yield f"nbd+unix:///image?socket={socket}"
    finally:
        process.kill()
        process.wait()
