"""kubectl for the scripts: one cluster, known by its kubeconfig; output as text or as parsed JSON.

It is the pinned kubectl of the checkout's Python environment where there is one. Errors carry what kubectl said.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import paths, steps

DEADLINE = 60.0


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the administrator's kubeconfig."""

    kubeconfig: Path

    def command(self, *words: str) -> list[str]:
        """Return the argument list of a call.

        Raises:
            StepError: when there is no kubectl.
        """
        program = paths.kubectl()
        if program is None:
            raise steps.StepError("kubectl is not there; run hack/python-env, which brings it")
        return [str(program), f"--kubeconfig={self.kubeconfig}", *words]

    def run(self, *words: str, stdin: str | None = None, deadline: float = DEADLINE) -> str:
        """Run it and return what it prints.

        Raises:
            StepError: when it fails or takes longer than the deadline.
        """
        try:
            done = subprocess.run(
                self.command(*words),
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=deadline,
            )
        except subprocess.TimeoutExpired as error:
            raise steps.StepError(f"kubectl {' '.join(words)} took longer than {deadline:.0f} s") from error
        if done.returncode:
            raise steps.StepError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *words: str) -> dict[str, Any] | None:
        """Return one object or list, or None when there is none."""
        text = self.run("get", *words, "--ignore-not-found", "-o", "json")
        parsed: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return parsed

    def apply(self, *paths_of_manifests: Path) -> str:
        """Apply manifests as the server does it, so that no copy is kept in an annotation."""
        files = [word for path in paths_of_manifests for word in ("-f", str(path))]
        return self.run("apply", "--server-side", "--force-conflicts", *files)

    def apply_objects(self, objects: list[dict[str, Any]]) -> str:
        """Create objects that are no files."""
        return self.run(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )
