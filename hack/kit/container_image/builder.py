"""buildah with a store of its own: builds a Dockerfile, runs a program of an image, writes an archive.

Needs root. The store lies in the cache, so a step that was built once is not built again. Each call has a mount
namespace of its own: what buildah mounts ends with it. Steps run in a chroot, which needs no container runtime.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import steps

_RUN_DEADLINE_S = 120.0


@dataclass(frozen=True)
class Buildah:
    """One store of images."""

    directory: Path

    def command(self, *words: str | Path) -> list[str | Path]:
        """Return the argument list of a call."""
        isolated = ["unshare", "--mount", "--propagation", "private"]
        store: list[str | Path] = ["--root", self.directory / "store", "--runroot", self.directory / "run"]
        return [*isolated, "buildah", *store, "--storage-driver", "overlay", *words]

    def build(
        self,
        dockerfile: Path,
        *,
        context: Path,
        tag: str,
        target: str | None = None,
        arguments: Mapping[str, str] | None = None,
        secrets: Mapping[str, Path] | None = None,
    ) -> None:
        """Build an image; steps that were built before are taken as they are.

        Raises:
            StepError: when a step fails.
        """
        words: list[str | Path] = ["bud", "--isolation", "chroot", "--layers", "--file", dockerfile]
        words += ["--tag", tag, *(["--target", target] if target else [])]
        for name, value in (arguments or {}).items():
            words += ["--build-arg", f"{name}={value}"]
        for name, path in (secrets or {}).items():
            words += ["--secret", f"id={name},src={path}"]
        steps.run(self.command(*words, context), doing=f"building {tag}", show_last=True)

    def image_id(self, tag: str) -> str | None:
        """Return the ID of an image, or None where there is none."""
        answer = subprocess.run(
            self.command("images", "--quiet", "--no-trunc", tag), capture_output=True, text=True, check=False
        )
        return answer.stdout.strip() or None if answer.returncode == 0 else None

    def export(self, tag: str, archive: Path) -> None:
        """Write an image as an archive that `docker load` and `ctr images import` read, all at once."""
        archive.parent.mkdir(parents=True, exist_ok=True)
        new = archive.with_name(f"{archive.name}.new")
        new.unlink(missing_ok=True)
        try:
            steps.run(
                self.command("push", tag, f"docker-archive:{new}:{tag}"), doing=f"writing {archive.name}"
            )
            new.replace(archive)
        finally:
            new.unlink(missing_ok=True)

    def run(self, tag: str, command: Sequence[str]) -> str:
        """Run a program of an image, as the image's own user, and return what it prints.

        Raises:
            StepError: when it fails, or goes on for longer than two minutes.
        """
        container = self._call("from", "--pull-never", tag).strip()
        try:
            return self._call("run", "--isolation", "chroot", container, "--", *command)
        finally:
            self._call("rm", container)

    def _call(self, *words: str) -> str:
        try:
            done = subprocess.run(
                self.command(*words), capture_output=True, text=True, check=False, timeout=_RUN_DEADLINE_S
            )
        except subprocess.TimeoutExpired as error:
            raise steps.StepError(
                f"buildah {' '.join(words)} took longer than {_RUN_DEADLINE_S:.0f} s"
            ) from error
        if done.returncode:
            raise steps.StepError(f"buildah {' '.join(words)}: {done.stderr.strip()[-2000:]}")
        return done.stdout
