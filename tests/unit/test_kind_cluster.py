"""Who asks pytest-kubernetes for kind gets the chart's tests a cluster of kind; who does not, never hears of either.

Docker, kind and kubectl are scripts here that write down what they are asked for.
"""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kit import paths
from pytest_kubernetes.providers import base
from pytest_kubernetes.providers.base import AClusterManager

from tests.kit import fake_programs, kind_cluster, real_cluster
from tests.kit.real_cluster import RealCluster

Providers = Callable[[str], type[AClusterManager]]

KUBECTL = 'test -e "$2" || exit 1\necho readyz check passed'
KIND = """
case "$*" in "create cluster"*)
    while [ $# -gt 1 ]; do
        case "$1" in --kubeconfig) echo made > "$2";; --config) cp "$2" "$SAID.yaml";; esac
        shift
    done;;
esac
"""
DOCKER = 'if [ "$1" = exec ]; then shift 2; exec "$@"; fi'


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with the three, and the file that each call becomes a line of."""
    log = tmp_path / "said"
    log.touch()
    for name, script in (("docker", DOCKER), ("kind", KIND), ("kubectl", KUBECTL)):
        fake_programs.put(tmp_path / "bin", name, f'echo {name} "$@" >> "$SAID"\n{script}')
    monkeypatch.setenv("SAID", str(log))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("INNKEEPER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "VENV", tmp_path / "none")  # whose kubectl is a real one
    monkeypatch.setattr(base, "sleep", lambda _: None)
    return log


def calls(said: Path, program: str) -> list[str]:
    return [line for line in said.read_text().splitlines() if line.startswith(f"{program} ")]


def test_a_cluster_of_kind_is_made_given_to_the_tests_and_removed(
    said: Path, tmp_path: Path, k8s_manager: Providers
) -> None:
    archives = [tmp_path / "operator.tar", tmp_path / "agent.tar"]
    with kind_cluster.running(
        k8s_manager("kind"), tmp_path, archives=lambda: archives, keep=False
    ) as environment:
        given = real_cluster.given(environment)
        assert given is not None
        assert given.kubeconfig.read_text() == "made\n"
        assert given.run_on_node("echo", "here") == "here\n"
        assert calls(said, "docker")[-1] == "docker exec innkeeper-e2e-control-plane echo here"
        made = yaml.safe_load(Path(f"{said}.yaml").read_text())
    assert calls(said, "docker")[0] == f"docker build --tag innkeeper-kind-node {paths.SCRIPTS}/kind.d"
    created = f"kind create cluster --config {tmp_path}/kind.yaml --kubeconfig {given.kubeconfig}"
    assert calls(said, "kind") == [
        "kind delete cluster --name innkeeper-e2e",  # what an earlier run left
        created,
        f"kind load image-archive {archives[0]} {archives[1]} --name innkeeper-e2e",
        "kind delete cluster --name innkeeper-e2e",
    ]
    assert made["name"] == "innkeeper-e2e"
    [node] = made["nodes"]
    assert node["image"] == "innkeeper-kind-node"
    assert node["extraMounts"] == [{"hostPath": given.images, "containerPath": given.images}]
    assert given.images == str(tmp_path / "cache" / "guest-image")


def test_the_node_is_built_from_an_image_that_stays_what_it_is() -> None:
    """A tag of kind's is moved when kind is released."""
    [base_image] = re.findall(
        r"^ARG NODE=(.+)$", (paths.SCRIPTS / "kind.d" / "Dockerfile").read_text(), re.MULTILINE
    )
    assert re.fullmatch(r"kindest/node:v[0-9.]+@sha256:[0-9a-f]{64}", base_image)


def test_what_kind_says_is_told_and_nothing_stays(said: Path, tmp_path: Path, k8s_manager: Providers) -> None:
    fake_programs.put(
        tmp_path / "bin",
        "kind",
        'echo kind "$@" >> "$SAID"\n[ $1 = delete ] || { echo no cgroups >&2; exit 1; }',
    )
    with (
        pytest.raises(AssertionError, match="no cgroups"),
        kind_cluster.running(k8s_manager("kind"), tmp_path, archives=list, keep=False),
    ):
        pytest.fail("there is no cluster")
    assert calls(said, "kind")[-1] == "kind delete cluster --name innkeeper-e2e"


def test_a_provider_whose_nodes_have_no_libvirt_is_refused(
    said: Path, tmp_path: Path, k8s_manager: Providers
) -> None:
    with (
        pytest.raises(AssertionError, match="INNKEEPER_E2E_KUBECONFIG"),
        kind_cluster.running(k8s_manager("k3d"), tmp_path, archives=list, keep=False),
    ):
        pytest.fail("there is no cluster")
    assert said.read_text() == ""


def test_its_options_reach_the_tests_of_the_chart(said: Path) -> None:
    """Shown by a provider that is refused before anything is built."""
    chart = paths.CHECKOUT / "tests" / "e2e" / "cluster"
    told = run_pytest("--k8s-provider=k3d", "-k", "test_pods_run_what_was_built", str(chart))
    assert "the nodes of kind alone have a libvirt" in told
    assert said.read_text() == ""


def test_without_its_options_the_plug_in_asks_for_nothing(said: Path, tmp_path: Path) -> None:
    test = tmp_path / "test_nothing.py"
    test.write_text("def test_nothing(): pass\n")
    assert "1 passed" in run_pytest(f"--rootdir={tmp_path}", str(test))
    assert said.read_text() == ""


def run_pytest(*words: str) -> str:
    """Run tests in a process of their own; return what is told."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False, timeout=280
    )
    return done.stdout + done.stderr


def test_each_run_has_a_key_of_its_own_that_nobody_else_reads(tmp_path: Path) -> None:
    """Also on a cluster that earlier runs were on; it leaves none there."""
    here = RealCluster(tmp_path / "kubeconfig", ("env",), str(tmp_path))
    with here.new_key() as first, here.new_key() as second:
        assert first.public != second.public
        assert first.public.startswith("ssh-ed25519 ")
        for path, mode in ((first.path, 0o600), (first.path.parent, 0o700)):
            assert stat.S_IMODE(path.stat().st_mode) == mode
    assert not first.path.parent.exists()
