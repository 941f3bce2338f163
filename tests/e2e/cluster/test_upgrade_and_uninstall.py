"""The page that ends an installation is followed to its end, beside a guest that runs. It goes last: it takes all away."""

import os
from pathlib import Path

import pytest
from kit import helm, paths

from tests.kit import documents, real_cluster
from tests.kit.lab import guest
from tests.kit.real_cluster import RealCluster

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

NAME = "of-the-page"
[PAGE] = documents.pages_on(documents.NODES)


def test_the_page_leaves_nothing_of_what_it_removes(cluster: RealCluster, tmp_path: Path) -> None:
    resources = {"cpu": "100m", "memory": "128Mi", "disk": "4Gi"}
    cluster.apply(guest(NAME, resources=resources, image={"name": "debian-12"}))
    cluster.wait_ready(NAME, reason="Running", within_s=120)
    documents.reader_folder(tmp_path)
    programs = [paths.VENV / "bin", helm.find_or_build().parent]
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
    }
    documents.run(PAGE, directory=tmp_path, environment=environment, on=documents.NODES)
    assert (cluster.run_on_node("virsh", "list", "--all", "--name") or "").split() == []
    crds = cluster.kubectl.run("get", "customresourcedefinitions", "--output=name")
    assert "innkeeper.dev" not in crds
    assert cluster.get("namespaces", real_cluster.SYSTEM) is None
