"""Building the guest image once, and finding it again.

The image is kept in the cache as `debian-12.raw` and `debian-12.qcow2`, with `debian-12.json` beside them,
which is written last: it tells sizes, digests, and a hash of everything the image was made from but the
packages. As long as that hash is right nothing is built again; new packages come with `--rebuild`.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from kit import locks, needs, paths, steps
from kit.guest_image import disk, root_file_system

NAME = "debian-12"
FORMATS = ("raw", "qcow2")
_CHUNK = 1024 * 1024


def directory() -> Path:
    """Return where the image is kept."""
    return paths.cache_root() / "guest-image"


def inputs() -> str:
    """Return a hash of the scripts and files that decide how the image comes out."""
    digest = hashlib.sha256()
    sources = [paths.SCRIPTS / "kit/guest_image" / name for name in ("root_file_system.py", "disk.py")]
    for path in sources + sorted(path for path in root_file_system.PARTS.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(paths.SCRIPTS)} {content}\n".encode())
    return digest.hexdigest()


def find() -> dict[str, Any] | None:
    """Return the description of the image that is there, or None when it is absent, old or incomplete."""
    try:
        known = json.loads((directory() / f"{NAME}.json").read_text())
        sizes_fit = all(Path(known[each]["path"]).stat().st_size == known[each]["size"] for each in FORMATS)
    except (OSError, ValueError, KeyError):
        return None
    return dict(known) if sizes_fit and known["inputs"] == inputs() else None


def ensure(*, rebuild: bool = False) -> dict[str, Any]:
    """Return the description of the image; build it first when it is not there.

    Raises:
        StepError: when it must be built and this is not root, or a tool fails.
    """
    known = None if rebuild else find()
    if known:
        return known
    needs.root("the files of the guest image belong to many users")
    # Lock and half-made files lie outside the directory, all of which may be served to hosts.
    with locks.exclusive(_beside("lock"), waiting_for="another build of the guest image"):
        known = None if rebuild else find()
        return known or _build()


def _build() -> dict[str, Any]:
    work = _beside("build")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    directory().mkdir(exist_ok=True)
    try:
        root, raw, qcow2 = work / "root", work / "disk.raw", work / "disk.qcow2"
        with steps.step("guest image: Debian 12 by mmdebstrap"):
            root_file_system.make(root)
        with steps.step("guest image: a bootable disk"):
            disk.make(raw, root=root)
        with steps.step("guest image: compressing"):
            convert = ["qemu-img", "convert", "-c", "-m", "2", "-W", "-f", "raw", "-O", "qcow2"]
            steps.run([*convert, raw, qcow2], doing="compressing")
        return _keep({"raw": raw, "qcow2": qcow2})
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _keep(made: dict[str, Path]) -> dict[str, Any]:
    """Move the files to their places and describe them; without the description they do not count."""
    description = directory() / f"{NAME}.json"
    description.unlink(missing_ok=True)
    known: dict[str, Any] = {"name": NAME, "virtual_size": disk.SIZE, "inputs": inputs()}
    for kind, path in made.items():
        place = directory() / f"{NAME}.{kind}"
        known[kind] = {"path": str(place), "size": path.stat().st_size, "sha256": sha256(path)}
        path.replace(place)
    new = description.with_suffix(".json.new")
    new.write_text(json.dumps(known, indent=2) + "\n")
    new.replace(description)
    return known


def _beside(suffix: str) -> Path:
    return directory().with_suffix(f".{suffix}")


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
