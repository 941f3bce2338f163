"""Building Innkeeper's images and writing them as archives into `dist/`.

An archive is written again only when its image changed. Package indexes and certificates are those that pip on this
machine is set up for; neither goes into an image.
"""

import ast
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import locks, needs, paths, steps
from kit.container_image import base
from kit.container_image.builder import Buildah

TARGETS = ("operator", "agent")
# MiB of the archives, a tenth above what they were when this was written (277 and 446, docs/how-to/build-images.md).
LARGEST = {"operator": 305, "agent": 491}
DIST = paths.CHECKOUT / "dist"
_VERSION_FILE = paths.CHECKOUT / "operator" / "innkeeper" / "__init__.py"
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){2}((a|b|rc|\.post|\.dev)[0-9]+)?")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_CERTIFICATES = "/run/pip-ca.crt"  # where the Dockerfile mounts the secret `ca`


@dataclass(frozen=True)
class Image:
    """One image that was built."""

    target: str
    version: str

    @property
    def tag(self) -> str:
        """Its name: no registry serves it."""
        return f"localhost/innkeeper-{self.target}:{self.version}"

    @property
    def archive(self) -> Path:
        """Where its archive lies."""
        return DIST / f"innkeeper-{self.target}-{self.version}.tar"


def store() -> Buildah:
    """Return the store of all checkouts of this user."""
    return Buildah(paths.cache_root() / "container-images")


def own_version() -> str:
    """Return the version of the checkout."""
    found = re.search(r'^__version__ = "([^"]+)"$', _VERSION_FILE.read_text(), re.MULTILINE)
    if found is None:
        raise steps.StepError(f"{_VERSION_FILE} names no __version__")
    return found[1]


def build(targets: tuple[str, ...], *, version: str | None = None, rebuild: bool = False) -> list[Image]:
    """Build images and write their archives; return them.

    Raises:
        StepError: when this is not root, a program is missing, the version is none, or a step fails.
    """
    needs.root("the files of images belong to many users")
    if version is not None and not _VERSION.fullmatch(version):
        raise steps.StepError(f"{version!r} is no version such as 1.2.3 or 1.2.3rc1", exit_code=2)
    needs.programs("buildah", "mmdebstrap", "unshare")
    buildah = store()
    buildah.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [Image(target, version or own_version()) for target in targets]
    with locks.exclusive(buildah.directory / "build.lock", waiting_for="another build of images"):
        tag = base.ensure(buildah, rebuild=rebuild)
        for image in made:
            with steps.step(f"images: {image.tag}"), _secrets() as secrets:
                arguments = {"BASE": tag, **({"VERSION": version} if version else {})}
                buildah.build(
                    paths.CHECKOUT / "Dockerfile",
                    context=paths.CHECKOUT,
                    tag=image.tag,
                    target=image.target,
                    arguments=arguments,
                    secrets=secrets,
                )
                _export(buildah, image)
    return made


def check_sizes(made: list[Image]) -> None:
    """Compare archives with the largest that they may be.

    Raises:
        StepError: when one is larger.
    """
    sizes = {image.target: image.archive.stat().st_size / 2**20 for image in made}
    if large := [
        f"{target}: {size:.0f} MiB, of {LARGEST[target]} at most"
        for target, size in sizes.items()
        if size > LARGEST[target]
    ]:
        raise steps.StepError(
            f"images have grown ({'; '.join(large)}): take out what they need not have, or allow more in "
            "hack/kit/container_image/images.py and tell it in docs/how-to/build-images.md"
        )


def _export(buildah: Buildah, image: Image) -> None:
    """Write the archive unless it is there: the image's ID lies beside it."""
    known, identity = image.archive.with_suffix(".id"), buildah.image_id(image.tag)
    if identity is None:
        raise steps.StepError(f"buildah does not know {image.tag}, which it has just built")
    if image.archive.exists() and known.exists() and known.read_text() == identity:
        return
    known.unlink(missing_ok=True)
    buildah.export(image.tag, image.archive)
    known.write_text(identity)


@contextmanager
def _secrets() -> Iterator[dict[str, Path]]:
    """Yield what pip needs inside a build to reach the index that pip here reaches."""
    if not _AUTHORITIES.exists():
        raise steps.StepError(f"{_AUTHORITIES} is not there; run hack/system-packages")
    indexes = {each: _pip_setting(each) for each in ("index-url", "extra-index-url")}
    lines = ["[global]", f"cert = {_PIP_CERTIFICATES}"]
    lines += [f"{name} = {value}" for name, value in indexes.items() if value]
    with tempfile.TemporaryDirectory() as directory:
        settings = Path(directory) / "pip.conf"
        settings.write_text("\n".join(lines) + "\n")
        yield {"pip": settings, "ca": Path(os.environ.get("PIP_CERT") or _AUTHORITIES)}


def _pip_setting(name: str) -> str | None:
    """Return a setting of the environment's own pip: a variable, else its files."""
    if value := os.environ.get(f"PIP_{name.upper().replace('-', '_')}"):
        return value
    pip: list[str | Path] = [needs.environment(), "-m", "pip", "config", "list"]
    return told_setting(steps.run(pip, doing="asking pip for its settings"), name)


def told_setting(said: str, name: str) -> str | None:
    """Return a setting of which `pip config list` tells, as a file of settings holds it: one value on each line."""
    found = re.search(rf"^(?:global|install)\.{name}=(['\"].*['\"])$", said, re.MULTILINE)
    return "\n    ".join(str(ast.literal_eval(found[1])).split()) if found else None
