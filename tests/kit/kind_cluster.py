"""A cluster of kind for the tests of the chart, by pytest-kubernetes: `pytest tests/e2e/cluster --k8s-provider kind`.

It is that of hack/kind.yaml under a name of its own, so that nobody's trial is taken for it. The plug-in makes it anew
and removes it; the node's image, the archives of the container images and the guest image come from this checkout.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from pytest_kubernetes.options import ClusterOptions
from pytest_kubernetes.providers.base import AClusterManager
from pytest_kubernetes.providers.kind import KindManagerBase

from kit import paths
from tests.kit import real_cluster

NAME = "innkeeper-e2e"
NODE_IMAGE = "innkeeper-kind-node"
GUEST_IMAGES = "GUEST_IMAGES"
"""What stands in hack/kind.yaml for the directory with guest images."""
_COMMAND_S = 900.0
_CREATE_S = 600
_READY_S = 120


@contextmanager
def running(
    provider: type[AClusterManager], directory: Path, *, archives: Callable[[], Sequence[Path]], keep: bool
) -> Iterator[Mapping[str, str]]:
    """Make the cluster, load the images, and yield what `real_cluster.given` reads of it; remove it then.

    `directory` holds what only this run needs, its kubeconfig among it.
    """
    assert issubclass(provider, KindManagerBase), (
        f"{provider.__name__}: the nodes of kind alone have a libvirt (hack/kind.d); for a cluster that runs already "
        "set INNKEEPER_E2E_KUBECONFIG, as docs/how-to/try-on-a-real-cluster.md says"
    )
    built = archives()
    images = paths.cache_root() / "guest-image"
    kubeconfig = directory / "kubeconfig"
    _run("docker", "build", "--tag", NODE_IMAGE, str(paths.SCRIPTS / "kind.d"))
    manager = provider(None, str(_settings(directory, images)))
    # One that an earlier run left has other images, and hosts that obeyed another operator.
    manager.delete()
    try:
        _create(manager, kubeconfig)
        _run("kind", "load", "image-archive", *map(str, built), "--name", manager.cluster_name)
        yield {
            real_cluster.KUBECONFIG: str(kubeconfig),
            real_cluster.ON_NODE: f"docker exec {manager.cluster_name}-control-plane",
            real_cluster.IMAGES: str(images),
        }
    finally:
        if not keep:
            manager.delete()


def _settings(directory: Path, images: Path) -> Path:
    settings = yaml.safe_load((paths.SCRIPTS / "kind.yaml").read_text().replace(GUEST_IMAGES, str(images)))
    file = directory / "kind.yaml"
    file.write_text(yaml.safe_dump({**settings, "name": NAME}))
    return file


def _create(manager: AClusterManager, kubeconfig: Path) -> None:
    """Have the plug-in make it. It finds kubectl on PATH, where the environment's own need not be."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{paths.VENV / 'bin'}{os.pathsep}{before}"
    try:
        options = ClusterOptions(kubeconfig_path=kubeconfig, cluster_timeout=_CREATE_S)
        manager.create(options, timeout=_READY_S)
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"{error.cmd}: {error.stderr.decode(errors='replace')}") from error
    finally:
        os.environ["PATH"] = before
    assert kubeconfig.exists(), "pytest-kubernetes took another cluster for its own"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_S)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
