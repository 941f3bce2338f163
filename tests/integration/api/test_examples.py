"""The example repositories are admitted as they stand: ours by our schemas, Flux's and Argo CD's own by theirs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api.conftest import Server
from tests.kit.install import CHECKOUT, run
from tests.kit.pipeline_crds import pipeline_crds

# Argo CD's module is large; it is downloaded once.
pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(600)]

EXAMPLES = CHECKOUT / "docs" / "examples"
NAMESPACES = ("shop", "flux-system", "argocd")
KUSTOMIZED = sorted(path.parent for path in EXAMPLES.rglob("kustomization.yaml"))
PLAIN = [*sorted(EXAMPLES.rglob("clusters/*/*.yaml")), *sorted(EXAMPLES.rglob("applications/*.yaml"))]
PLAIN += [EXAMPLES / "argo-cd" / "argocd-cm.yaml"]


@pytest.fixture(scope="module")
def cluster(server: Server) -> Iterator[Server]:
    """An API server with the CRDs of both pipelines, and the namespaces that the examples speak of."""
    for name in NAMESPACES:
        run(server.kubeconfig, "create", "namespace", name)
    files = [f"--filename={path}" for path in pipeline_crds()]
    run(server.kubeconfig, "apply", "--server-side", *files)
    run(server.kubeconfig, "wait", "--for=condition=Established", "--timeout=60s", *files)
    yield server
    run(server.kubeconfig, "delete", *files)
    run(server.kubeconfig, "delete", "namespace", "--wait=false", *NAMESPACES)


def admitted(cluster: Server, *source: str, stdin: str | None = None) -> list[str]:
    """Have the API server check manifests, without a write; return what it says of each."""
    options = ("apply", "--server-side", "--dry-run=server", "--validate=strict")
    return run(cluster.kubeconfig, *options, *source, stdin=stdin).stdout.splitlines()


def named(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


@pytest.mark.parametrize("directory", KUSTOMIZED, ids=named)
def test_what_is_built_is_admitted(cluster: Server, directory: Path) -> None:
    built = run(cluster.kubeconfig, "kustomize", str(directory)).stdout
    assert len(admitted(cluster, "--filename=-", stdin=built)) == len(
        re.findall(r"^kind:", built, re.MULTILINE)
    )


@pytest.mark.parametrize("path", PLAIN, ids=named)
def test_what_the_pipeline_reads_is_admitted(cluster: Server, path: Path) -> None:
    assert admitted(cluster, f"--filename={path}")


def test_every_file_is_looked_at() -> None:
    known = {*PLAIN, *(file for directory in KUSTOMIZED for file in directory.glob("*.yaml"))}
    assert set(EXAMPLES.rglob("*.yaml")) == known


def test_what_flux_and_argo_cd_are_told_to_read_is_there() -> None:
    for repository in ("flux", "argo-cd"):
        files = "".join(path.read_text() for path in PLAIN if repository in path.parts)
        paths = re.findall(r"^ +path: (\S+)$", files, re.MULTILINE)
        assert len(paths) == 2
        assert all((EXAMPLES / repository / path / "kustomization.yaml").exists() for path in paths)
