"""Where images lie on a host, by the hex digits of their digests. A file under a whole image's name is always whole.

<hex>                  the image, checked
<hex>.partial          on its way in order
<stream>.stream        on its way by chunks: sparse, and served while it fills
<stream>.manifest      its chunks
<stream>.match         empty: the whole image is what this manifest says
streams/<stream>.json  what the streaming process was asked for
uses/<guest>           which image a guest uses

A stream is named by the digests of its image and of its manifest: who trusts another manifest reads another file, also
where the whole image is here, unless that is noted to be what this manifest says as well.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from innkeeper import whole_files
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.orders import OrderImage

_ASIDE = ".forgotten"  # of the note by which files that were set aside use an image

_HEX = re.compile(r"[0-9a-f]{64}([0-9a-f]{64})?")


def stream_name(image: OrderImage) -> str:
    """Return the name of an image's stream.

    Raises:
        DigestInvalidError: a digest is none.
    """
    return f"{Digest.parse(image.digest).hex}.{Digest.parse(image.manifest_digest or '').hex}"


@dataclass(frozen=True)
class ImageFiles:
    """The directory of images."""

    directory: Path

    @property
    def uses(self) -> Path:
        """Which guest uses which image."""
        return self.directory / "uses"

    @property
    def records(self) -> Path:
        """What the streaming process serves."""
        return self.directory / "streams"

    @property
    def nbd_socket(self) -> Path:
        """Where QEMU reads images that are on their way."""
        return self.directory / "nbd.sock"

    @property
    def control_socket(self) -> Path:
        """Where the agent speaks to the streaming process."""
        return self.directory / "streams" / "control.sock"

    def whole(self, name: str) -> Path:
        """Return where a whole image lies."""
        return self.directory / name

    def whole_of(self, stream: str) -> Path:
        """Return where the image of a stream lies once it is whole."""
        return self.whole(stream.partition(".")[0])

    def stream(self, name: str) -> Path:
        """Return where an image is made of chunks."""
        return self.directory / f"{name}.stream"

    def manifest(self, name: str) -> Path:
        """Return where its manifest lies."""
        return self.directory / f"{name}.manifest"

    def match(self, name: str) -> Path:
        """Return where it is noted that the whole image is what a stream's manifest says."""
        return self.directory / f"{name}.match"

    def is_whole(self, stream: str) -> bool:
        """Tell whether the image of a stream is whole here, and known to be what the stream's manifest says. Blocking."""
        return self.match(stream).exists() and self.whole_of(stream).exists()

    def note_match(self, stream: str) -> None:
        """Note for good that the bytes with an image's digest are what a stream's manifest says. Blocking.

        Raises:
            OSError: the disk refuses.
        """
        self.write(self.match(stream), b"")

    def record(self, name: str) -> Path:
        """Return where it is written that an image is served."""
        return self.records / f"{name}.json"

    def whole_images(self) -> list[str]:
        """Return the digests of the images that are whole, those used last first. Blocking."""
        found: list[tuple[int, str]] = []
        for each in self.directory.iterdir():
            with suppress(FileNotFoundError):  # dropped meanwhile: another guest was the last to use it
                if _HEX.fullmatch(each.name) and each.is_file():
                    found.append((each.stat().st_mtime_ns, each.name))
        return [str(Digest.of_hex(name)) for _, name in sorted(found, reverse=True)]

    def set_use_aside(self, guest_id: str) -> None:
        """Have the image of a guest used by its files that were set aside. Blocking."""
        note = self.uses / guest_id
        if note.exists():
            note.replace(note.with_name(f"{guest_id}{_ASIDE}"))

    def forgotten_uses(self) -> list[str]:
        """Return the uses by files that were set aside and that somebody has removed since. Blocking."""
        state = self.directory.parent
        found = []
        for note in self.uses.glob(f"*{_ASIDE}"):
            guest_id = note.name.removesuffix(_ASIDE)
            aside = state / "forgotten" / guest_id
            # A guest of that ID may be here again; while its disk is, its own note counts.
            if not aside.exists() and not any(aside.parent.glob(f"{guest_id}.*")):
                found.append(note.name)
        return found

    def make(self) -> None:
        """Make the directories."""
        self.uses.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.records.mkdir(exist_ok=True, mode=0o700)
        self.directory.chmod(0o711)  # QEMU's user passes through, and lists nothing

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all, and onto the disk."""
        beside_none_listed = self.directory / f"{path.name}.{path.parent.name}.new"
        whole_files.put(path, content, partial=beside_none_listed, mode=0o644)
