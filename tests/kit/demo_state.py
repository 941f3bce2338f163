"""What a running demo holds, and the way back to it, so that each page of the documents begins as from new.

What was not there is deleted, what is gone is made again, and what differs in spec or labels is written back. It waits
for conditions, with long deadlines: guests that have to boot again are emulated where there is no KVM.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kit.kubectl import Kubectl

# In the order to make them; they are deleted in the other one.
KINDS = ("clusters", "ippools.innkeeper.dev", "flavors", "hosts", "images", "guests", "guestoperations")
READY_S = 300
Key = tuple[str, str, str]
Objects = dict[Key, dict[str, Any]]
# A guest that rests for one of these reasons is never Ready by itself: it is made anew.
_RESTING = ("StoppedAtHost", "ForgottenAtHost", "Completed", "Paused", "WaitingForOrders")
_SERVERS_OWN = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields")
_ALWAYS_THERE = ("innkeeper-", "host-", "kube-", "default")


@dataclass(frozen=True)
class DemoState:
    """All objects that people write, as they were."""

    kubectl: Kubectl
    objects: Objects

    def restore(self) -> None:
        """Bring them back, and wait until hosts, images and guests are Ready."""
        self._delete(_objects(self.kubectl).keys() - self.objects.keys())
        now = _objects(self.kubectl)
        resting = {key for key, each in now.items() if _reason(each) in _RESTING}
        self._delete(resting)
        now = {key: each for key, each in now.items() if key not in resting}
        for key, wanted in self.objects.items():
            if key not in now:
                self.kubectl.run("create", "-f", "-", stdin=json.dumps(wanted))
            elif _said(now[key]) != _said(wanted):
                self.kubectl.run("replace", "-f", "-", stdin=json.dumps(wanted))
        for kind in ("hosts", "images", "guests"):
            self.kubectl.run(
                "wait", "--for=condition=Ready", f"--timeout={READY_S}s", kind, "--all", deadline=READY_S + 30
            )

        for name in _namespaces(self.kubectl):
            self.kubectl.run("delete", "namespace", name, "--ignore-not-found", deadline=READY_S)

    def _delete(self, keys: Iterable[Key]) -> None:
        for kind, namespace, name in sorted(keys, key=lambda key: -KINDS.index(key[0])):
            where = ["-n", namespace] if namespace else []
            self.kubectl.run("delete", kind, name, *where, "--ignore-not-found", deadline=READY_S)


def read(kubectl: Kubectl) -> DemoState:
    """Return what a demo holds now."""
    return DemoState(kubectl, {key: _without_status(each) for key, each in _objects(kubectl).items()})


def _objects(kubectl: Kubectl) -> Objects:
    return {
        (kind, each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for kind in KINDS
        for each in json.loads(kubectl.run("get", kind, "-A", "-o", "json"))["items"]
    }


def _namespaces(kubectl: Kubectl) -> Iterator[str]:
    for each in json.loads(kubectl.run("get", "namespaces", "-o", "json"))["items"]:
        if not each["metadata"]["name"].startswith(_ALWAYS_THERE):
            yield each["metadata"]["name"]


def _without_status(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        key: value
        for key, value in document["metadata"].items()
        if key not in (*_SERVERS_OWN, "finalizers", "annotations")
    }
    return {key: value for key, value in document.items() if key != "status"} | {"metadata": metadata}


def _reason(document: dict[str, Any]) -> str:
    conditions = document.get("status", {}).get("conditions", [])
    return next((str(each["reason"]) for each in conditions if each["type"] == "Ready"), "")


def _said(document: dict[str, Any]) -> tuple[Any, Any]:
    return document.get("spec"), document["metadata"].get("labels", {})
