"""Where the three programs of a control plane come from.

In this order, each program for itself: the directory `KUBEBUILDER_ASSETS`, PATH (both only at the right minor
version), the cache; what none of them has is built into the cache from Go modules.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from kit import paths, steps
from kit.go_programs import GoProgram, build

KUBERNETES = "1.36.3"
ETCD = "3.6.14"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"  # no part of a control plane for Innkeeper: its peer in hack/bench/bind
MODULES = paths.SCRIPTS / "control-plane.d"


def cache_directory() -> Path:
    """Return where built programs of this version lie."""
    return paths.cache_root() / f"control-plane-v{KUBERNETES}"


def sources() -> list[GoProgram]:
    """Return how each program of a control plane is built."""
    kubernetes = [kubernetes_program(name) for name in (API_SERVER, CONTROLLER_MANAGER)]
    return [GoProgram("etcd", MODULES / "etcd", "go.etcd.io/etcd/server/v3"), *kubernetes]


def kubernetes_program(name: str, *, module: Path = MODULES / "kubernetes") -> GoProgram:
    """Return how one of Kubernetes' programs is built from module files, so that it knows its version."""
    major, minor, _ = KUBERNETES.split(".")
    values = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = ["-s", "-w"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
    return GoProgram(name, module, f"k8s.io/kubernetes/cmd/{name}", " ".join(flags))


def find_or_build() -> dict[str, Path]:
    """Return the path of each program, by its name; build those that are nowhere.

    Raises:
        StepError: when one has to be built and cannot be.
    """
    return have(sources())


def scheduler() -> Path:
    """Return the path of kube-scheduler; build it if it is nowhere.

    Raises:
        StepError: when it has to be built and cannot be.
    """
    return have([kubernetes_program(SCHEDULER)])[SCHEDULER]


def have(wanted: list[GoProgram]) -> dict[str, Path]:
    """Return the path of each of these programs, by its name; build those that are nowhere.

    Raises:
        StepError: when one has to be built and cannot be.
    """
    elsewhere = {source.name: _installed(source.name) for source in wanted}
    build([source for source in wanted if elsewhere[source.name] is None], cache_directory())
    return {name: path or cache_directory() / name for name, path in elsewhere.items()}


def _installed(name: str) -> Path | None:
    """Return a program that this machine has already, at the right minor version."""
    places = [os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH")]
    for place in filter(None, places):
        found = shutil.which(name, path=place)
        if found and _minor_version(found) == _wanted(name):
            return Path(found)
        if found:
            steps.say(f"    {found} is not used: its version is not {'.'.join(_wanted(name))}")
    return None


def _wanted(name: str) -> tuple[str, str]:
    major, minor, _ = (ETCD if name == "etcd" else KUBERNETES).split(".")
    return major, minor


def _minor_version(program: str) -> tuple[str, str] | None:
    """Ask a program for its version; None when it gives none."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(?:Kubernetes v|etcd Version: )(\d+)\.(\d+)\.", answer.stdout)
    return (found[1], found[2]) if found else None
