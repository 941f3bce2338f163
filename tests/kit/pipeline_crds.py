"""The CRDs of others whose objects we show or make, out of their own Go modules in pinned versions.

Go's checksum database vouches for them. The versions are such that Go 1.26 takes their modules.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.go_programs import find_go

_FLUX = "config/crd/bases"
_PROMETHEUS = "example/prometheus-operator-crd"
_PIPELINES = {
    "github.com/fluxcd/kustomize-controller@v1.7.3": (
        f"{_FLUX}/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
    "github.com/fluxcd/source-controller@v1.8.0": (f"{_FLUX}/source.toolkit.fluxcd.io_gitrepositories.yaml",),
    "github.com/argoproj/argo-cd/v3@v3.4.13": ("manifests/crds/application-crd.yaml",),
}


_CHART = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": tuple(
        f"{_PROMETHEUS}/monitoring.coreos.com_{kind}.yaml"
        for kind in ("podmonitors", "prometheusrules", "servicemonitors")
    ),
    "github.com/cert-manager/cert-manager@v1.21.2": ("deploy/crds/cert-manager.io_certificates.yaml",),
}


def pipeline_crds() -> list[Path]:
    """Return those of Flux and Argo CD, downloaded the first time.

    Raises:
        AssertionError: a module cannot be had; Go says why.
    """
    return _downloaded(_PIPELINES)


def chart_crds() -> list[Path]:
    """Return those of the Prometheus operator and of cert-manager, of which the chart makes objects.

    Raises:
        AssertionError: a module cannot be had; Go says why.
    """
    return _downloaded(_CHART)


def _downloaded(modules: Mapping[str, Sequence[str]]) -> list[Path]:
    found = []
    for module, files in modules.items():
        command = [find_go(), "mod", "download", "-json", module]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd="/")
        assert done.returncode == 0, f"{module}: {done.stdout}{done.stderr}"
        directory = Path(json.loads(done.stdout)["Dir"])
        found += [directory / file for file in files]
    return found
