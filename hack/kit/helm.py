"""Where helm comes from: the one on PATH at version 3.14 or later, else one that is built into the cache.

Module files under version control pin what is built. Helm 4 on PATH is not used: the chart is tested with Helm 3.
"""

import re
import shutil
import subprocess
from pathlib import Path

from kit import paths, steps
from kit.go_programs import GoProgram, build

HELM = "3.21.3"
OLDEST = (3, 14)
MODULE = paths.SCRIPTS / "helm.d"
_KUBERNETES = ("1", "36")  # what `helm template` takes a cluster to be when it asks none


def find_or_build() -> Path:
    """Return the path of helm; build it where there is none.

    Raises:
        StepError: when it has to be built and cannot be.
    """
    on_path = shutil.which("helm")
    if on_path and is_usable(on_path):
        return Path(on_path)
    directory = paths.cache_root() / f"helm-v{HELM}"
    directory.mkdir(parents=True, exist_ok=True)
    build([source()], directory)
    return directory / "helm"


def source() -> GoProgram:
    """Return how helm is built: as its own makefile does, so that it knows its version and Kubernetes'."""
    major, minor = _KUBERNETES
    values = {"helm.sh/helm/v3/internal/version.version": f"v{HELM}"}
    for package in ("lint/rules", "chartutil"):
        values[f"helm.sh/helm/v3/pkg/{package}.k8sVersionMajor"] = major
        values[f"helm.sh/helm/v3/pkg/{package}.k8sVersionMinor"] = minor
    flags = ["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())]
    return GoProgram("helm", MODULE, "helm.sh/helm/v3/cmd/helm", " ".join(flags))


def is_usable(program: str) -> bool:
    """Tell whether a helm is of version 3, and new enough."""
    command = [program, "version", "--template", "{{.Version}}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.match(r"v(\d+)\.(\d+)\.", answer.stdout)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version >= OLDEST and version[0] == OLDEST[0]:
        return True
    steps.say(f"    {program} is not used: it is {answer.stdout.strip() or 'of no known version'}")
    return False
