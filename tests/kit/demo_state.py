"""What a running demo holds, and the way back to it, so that each page of the documents begins as from new.

What was not there is deleted, what is gone is made again, and what differs in spec or labels is written back. It waits
for conditions, with long deadlines: guests that have to boot again are emulated where there is no KVM.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kit.kubectl import Kubectl

# By kind, in the order to make them; they are deleted in the other one.
KINDS = {
    "Namespace": "namespaces",
    "Secret": "secrets",
    "Cluster": "clusters.innkeeper.dev",
    "IPPool": "ippools.innkeeper.dev",
    "Flavor": "flavors.innkeeper.dev",
    "Host": "hosts.innkeeper.dev",
    "Image": "images.innkeeper.dev",
    "Guest": "guests.innkeeper.dev",
    "GuestOperation": "guestoperations.innkeeper.dev",
}
WAITED_FOR = ("Host", "Image", "Guest")
READY_S = 300
# A guest that rests for one of these reasons is never Ready by itself: it is made anew.
_RESTING = ("StoppedAtHost", "ForgottenAtHost", "Completed", "Paused", "WaitingForOrders")
_SERVERS_OWN = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "managedFields",
    "finalizers",
    "annotations",
)
_HOSTS_NAMESPACE = "host-"  # the operator's own to make and to delete

Key = tuple[str, str, str]
Objects = dict[Key, dict[str, Any]]


@dataclass(frozen=True)
class DemoState:
    """All objects that people write, as they were."""

    kubectl: Kubectl
    objects: Objects

    def restore(self) -> None:
        """Bring them back, and wait until hosts, images and guests are Ready."""
        now = _objects(self.kubectl)
        resting = {key for key, each in now.items() if _ready(each).get("reason") in _RESTING}
        gone = (now.keys() - self.objects.keys()) | resting
        self._delete(gone)
        for key, wanted in self.objects.items():
            if key not in now or key in gone:
                self.kubectl.run("create", "-f", "-", stdin=json.dumps(wanted))
            elif _said(now[key]) != _said(wanted):
                self.kubectl.run("replace", "-f", "-", stdin=json.dumps(wanted))
        self._wait()

    def _delete(self, keys: Iterable[Key]) -> None:
        order = list(KINDS)
        for kind, namespace, name in sorted(keys, key=lambda key: -order.index(key[0])):
            where = ["-n", namespace] if namespace else []
            self.kubectl.run("delete", KINDS[kind], name, *where, "--ignore-not-found", deadline=READY_S)

    def _wait(self) -> None:
        now = _objects(self.kubectl)
        for kind in WAITED_FOR:
            if all(_ready(each).get("status") == "True" for key, each in now.items() if key[0] == kind):
                continue
            wait = ("wait", "--for=condition=Ready", f"--timeout={READY_S}s", KINDS[kind], "--all")
            self.kubectl.run(*wait, deadline=READY_S + 30)


def read(kubectl: Kubectl) -> DemoState:
    """Return what a demo holds now."""
    return DemoState(kubectl, {key: _without_status(each) for key, each in _objects(kubectl).items()})


def _objects(kubectl: Kubectl) -> Objects:
    items = json.loads(kubectl.run("get", ",".join(KINDS.values()), "-A", "-o", "json"))["items"]
    found = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in items
    }
    return {key: each for key, each in found.items() if _is_peoples(*key)}


def _is_peoples(kind: str, namespace: str, name: str) -> bool:
    if kind == "Namespace":
        return not name.startswith(_HOSTS_NAMESPACE)
    return kind != "Secret" or namespace == "default"


def _without_status(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in document["metadata"].items() if key not in _SERVERS_OWN}
    return {key: value for key, value in document.items() if key != "status"} | {"metadata": metadata}


def _ready(document: dict[str, Any]) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = document.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def _said(document: dict[str, Any]) -> tuple[Any, Any]:
    if document["kind"] in ("Namespace", "Secret"):
        return None, None
    return document["spec"], document["metadata"].get("labels", {})
