"""Runs the whole bench; started by hack/bench/stream with Innkeeper's own Python."""

import argparse
import asyncio
import json
import shutil
import tempfile
from pathlib import Path

from kit import command_line, paths, steps
from kit.stream import export, packs
from kit.stream.cases import LINKS, Case
from kit.stream.image import dense, understood

DENSE_MIB = 512
_ROWS = (
    ("local copy", "local_marker_s", None, None),
    ("never seen", "cold_marker_s", "cold_marker_bytes", "cold_marker_unpacked_bytes"),
    ("with a boot profile", "marker_s", "marker_bytes", "marker_unpacked_bytes"),
    ("second guest", "second_marker_s", "second_guest_bytes", None),
    ("download, convert, boot", "import_marker_s", None, None),
)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--link")
    options = parser.parse_args()
    asyncio.run(measure(link=options.link, quick=options.quick))


async def measure(*, link: str | None, quick: bool) -> None:
    """Measure over one link or over all, print a table, and the figures as JSON.

    Raises:
        StepError: when the guest image is not built.
    """
    built = paths.cache_root() / "guest-image" / "debian-12.raw"
    if not built.exists():
        raise steps.StepError("the guest image is missing: run hack/guest-image")
    directory = Path(tempfile.mkdtemp(prefix="innkeeper-bench-stream-"))
    try:
        with steps.step("reading the guest image once"):
            image = understood(built, manifest=directory / "debian.manifest")
        links = [each for each in LINKS if link in (None, each.name)]
        if quick and link is None:
            links = [LINKS[-1]]
        cases = {each.name: await Case(each, image, directory).run(quick=quick) for each in links}
        with steps.step("reading a whole image through its export"):
            path = directory / "dense.raw"
            dense(built, path, mib=128 if quick else DENSE_MIB)
            found = await export.compare(understood(path, manifest=directory / "dense.manifest"), directory)
        packing = packs.pack(built)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    _tell(cases, full_bytes=image.full_bytes, speeds=found, packing=packing)


def _tell(
    cases: dict[str, dict[str, float | None]],
    *,
    full_bytes: int,
    speeds: dict[str, dict[int, float]],
    packing: packs.Packed,
) -> None:
    for name, case in cases.items():
        print(
            f"\n{name}: seconds until sshd takes a connection; bytes until then, and of all that are not zeros"
        )
        local = case["local_marker_s"] or 1
        for title, seconds, sent, unpacked in _ROWS:
            if case.get(seconds) is None:
                continue
            taken = case[seconds] or 0
            fetched = "" if sent is None else f"   on the wire {_of(case[sent], full_bytes)}"
            if unpacked is not None:
                fetched += f", unpacked {_of(case[unpacked], full_bytes)}"
            print(f"  {title:24} {taken:6.1f} s  {taken / local:5.2f} x local{fetched}")
        if case.get("local_after_s") is not None:
            print(f"  all of it here {case['local_after_s']:.1f} s after that")
    print(
        "\nsequential reads of a whole image, MiB/s      "
        + "".join(f"{kib:>8} KiB" for kib in export.BLOCK_KIB)
    )
    for reader, speed in speeds.items():
        print(f"  {reader:42}" + "".join(f"{speed[kib]:12.0f}" for kib in export.BLOCK_KIB))
    print(
        f"\nchunks of the image are {packing.times_shorter:.2f} times shorter when they are packed, "
        f"at {packing.mib_s:.0f} MiB for each second of one processor"
    )
    figures = {
        "cases": cases,
        "export_mib_s": speeds["export"][export.MAIN_KIB],
        "qemu_nbd_mib_s": speeds["qemu-nbd"][export.MAIN_KIB],
        "export_mib_s_by_kib": speeds["export"],
        "qemu_nbd_mib_s_by_kib": speeds["qemu-nbd"],
        "packing_mib_s": packing.mib_s,
        "packing_times_shorter": packing.times_shorter,
    }
    print(json.dumps(figures))


def _of(count: float | None, full_bytes: int) -> str:
    """Return a number of bytes, and its share of the bytes that are not zeros."""
    return f"{(count or 0) / 1024**2:.1f} MiB ({100 * (count or 0) / full_bytes:.1f} %)"


if __name__ == "__main__":
    command_line.run(main)
