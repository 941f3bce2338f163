"""The chart as Helm renders it, and what of it differs from one rendering to the next.

Helm reads and writes nothing of the user's: its directories are the test's own. Nothing here talks to a cluster.
"""

import functools
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kit import helm
from tests.kit.install import CHECKOUT

CHART = CHECKOUT / "charts" / "innkeeper"
NAMESPACE = "innkeeper-system"
ORDER_KEY = f"{'A' * 43}="
WITH_AGENTS = ("--set", "agent.enabled=true", "--set", f"agent.orderKeys={{{ORDER_KEY}}}")
_DEADLINE_S = 120.0


class HelmError(AssertionError):
    """Helm refused."""


@functools.cache
def _program() -> str:
    return str(helm.find_or_build())


def run_helm(*words: str | Path, kubeconfig: Path | None = None, deadline_s: float = _DEADLINE_S) -> str:
    """Run Helm and return what it prints.

    Raises:
        HelmError: it failed; the message is its own.
    """
    with tempfile.TemporaryDirectory(prefix="innkeeper-helm-") as home:
        places = {f"HELM_{each}_HOME": home for each in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **places, "KUBECONFIG": str(kubeconfig or Path(home) / "none")}
        done = subprocess.run(
            [_program(), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
            env=environment,
        )
    if done.returncode != 0:
        raise HelmError(done.stderr.strip())
    return done.stdout


def render(*words: str | Path, chart: Path = CHART, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Return the objects that `helm template` makes of the chart."""
    text = run_helm("template", "innkeeper", chart, "--namespace", namespace, *words)
    return [document for document in yaml.safe_load_all(text) if document]


def find(objects: Sequence[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the one object of that kind and name.

    Raises:
        KeyError: there is none, or there are several.
    """
    found = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    if len(found) != 1:
        raise KeyError(f"{len(found)} objects are {kind}/{name}")
    return found[0]


def pod_specs(objects: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pods that the objects start, by the name of what starts them."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}
    }
