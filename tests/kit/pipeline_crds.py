"""The CRDs of Flux and Argo CD, out of their own Go modules in pinned versions, checked by Go's checksum database.

The versions are such that Go 1.26 takes their modules.
"""

import json
import subprocess
from pathlib import Path

from kit.go_programs import find_go

_FLUX = "config/crd/bases"
_FILES = {
    "github.com/fluxcd/kustomize-controller@v1.7.3": (
        f"{_FLUX}/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
    "github.com/fluxcd/source-controller@v1.8.0": (f"{_FLUX}/source.toolkit.fluxcd.io_gitrepositories.yaml",),
    "github.com/argoproj/argo-cd/v3@v3.4.13": ("manifests/crds/application-crd.yaml",),
}


def pipeline_crds() -> list[Path]:
    """Return the files, downloaded the first time.

    Raises:
        AssertionError: a module cannot be had; Go says why.
    """
    found = []
    for module, files in _FILES.items():
        command = [find_go(), "mod", "download", "-json", module]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd="/")
        assert done.returncode == 0, f"{module}: {done.stdout}{done.stderr}"
        directory = Path(json.loads(done.stdout)["Dir"])
        found += [directory / file for file in files]
    return found
