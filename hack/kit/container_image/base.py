"""The Debian that images stand on where no registry is reached: made by mmdebstrap, in place of `debian:bookworm-slim`.

It has what that image has: Debian's smallest system with apt, without documentation and translations. It is made once
and kept in buildah's store; new packages come when it is made again.
"""

import tempfile
from pathlib import Path

from kit import steps
from kit.container_image.builder import Buildah
from kit.guest_image.root_file_system import SUITE, sources

TAG = f"localhost/innkeeper-base:{SUITE}"
_LEFT_OUT = ("doc/*", "man/*", "info/*", "locale/*", "lintian/*", "bug/*")
_DOCKERFILE = 'FROM scratch\nADD root.tar /\nCMD ["bash"]\n'


def ensure(buildah: Buildah, *, rebuild: bool = False) -> str:
    """Return the tag of the base image; make it first when it is not there.

    Raises:
        StepError: when mmdebstrap or buildah fails.
    """
    if rebuild or buildah.image_id(TAG) is None:
        with (
            steps.step("images: Debian 12 by mmdebstrap"),
            tempfile.TemporaryDirectory(dir=buildah.directory) as work,
        ):
            _make(buildah, Path(work))
    return TAG


def _make(buildah: Buildah, work: Path) -> None:
    command: list[str | Path] = ["mmdebstrap", "--mode=root", "--variant=minbase", "--architectures=amd64"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{each}" for each in _LEFT_OUT]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--include=usr-is-merged"]
    command += [SUITE, work / "root.tar", *sources()]
    steps.run(command, doing="installing Debian into an archive", show_last=True)
    (work / "Dockerfile").write_text(_DOCKERFILE)
    buildah.build(work / "Dockerfile", context=work, tag=TAG)
