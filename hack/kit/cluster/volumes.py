"""Volumes of the node: a StorageClass that is the default one, and volumes of it in the cluster's directory.

Nothing makes or empties them: each serves one claim. They go with the cluster.
"""

from typing import Any

from kit.cluster.plan import NODE, Cluster
from kit.kubectl import Kubectl

CLASS = "node"
# Two operators and the image server, and what claims that were deleted leave behind. A size holds nobody back.
COUNT, SIZE = 12, "100Gi"


def up(cluster: Cluster) -> None:
    """Make the class and its volumes, which may be there."""
    for number in range(COUNT):
        (cluster.volumes / str(number)).mkdir(parents=True, exist_ok=True)
    Kubectl(cluster.kubeconfig).apply_objects(objects(cluster))


def objects(cluster: Cluster) -> list[dict[str, Any]]:
    """Return what is applied."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return [storage_class, *(_volume(cluster, number) for number in range(COUNT))]


def _volume(cluster: Cluster, number: int) -> dict[str, Any]:
    there = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{CLASS}-{number}"},
        "spec": {
            "storageClassName": CLASS,
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            # Of this type kubelet gives the files to the pod's group, which it does to no hostPath.
            "local": {"path": str(cluster.volumes / str(number))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [there]}]}},
        },
    }
