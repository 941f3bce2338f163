"""What the fake API server keeps: objects, one counter of versions, and a window of history for watches.

It does what the real one does to an object: uid, generation, finalizers, deletionTimestamp, guards, namespaces that
take their content along. Documents in it are never changed in place; each write makes a new one.
"""

import asyncio
import base64
import copy
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from innkeeper.clock import rfc3339
from tests.kit.fake_api_documents import (
    Matcher,
    RefusedError,
    conflict,
    invalid,
    merge,
    not_found,
)
from tests.kit.fake_api_kinds import CORE, Document, Kind, crds, own_kinds

Name = tuple[str, str]  # (namespace or empty, name)
Backup = tuple[int, dict[tuple[str, str], dict[Name, Document]]]
Admission = Callable[[Kind, Document], None]

# What a client's write never changes.
_SYSTEM_FIELDS = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
)


@dataclass(frozen=True)
class Event:
    """One change; `before` is what selectors need to tell whether an object left their selection."""

    version: int
    kind: Kind
    type: str  # ADDED, MODIFIED, DELETED
    document: Document
    before: Document | None


def guest_finalizer(kind: Kind, body: Document) -> None:
    """Do what the project's MutatingAdmissionPolicy does: no Guest is without its finalizer."""
    if kind.plural == "guests" and "deletionTimestamp" not in body["metadata"]:
        finalizers = body["metadata"].setdefault("finalizers", [])
        if "innkeeper.dev/guest" not in finalizers:
            finalizers.append("innkeeper.dev/guest")


class Store:
    """All objects, and what changed lately."""

    def __init__(
        self,
        *,
        history: int = 10_000,
        namespaces: Iterable[str] = ("default", "kube-system"),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.kinds = {(kind.group, kind.version, kind.plural): kind for kind in (*CORE, *own_kinds())}
        self.admission: list[Admission] = [guest_finalizer]
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)  # by plural
        self.observers: list[Callable[[Event], None]] = []
        self._now = now
        self._version = 100
        self._forgotten = self._version  # events up to this version are no longer known
        self._events: deque[Event] = deque(maxlen=history)
        self._objects: dict[tuple[str, str], dict[Name, Document]] = {}
        for name in namespaces:
            self.create(self.kind("namespaces"), {"metadata": {"name": name}})
        for crd in crds():
            self._install(crd)

    def _install(self, crd: Document) -> None:
        kind = self.kind("customresourcedefinitions")
        name = crd["metadata"]["name"]
        self.create(kind, {"metadata": {"name": name}, "spec": {"group": crd["spec"]["group"]}})
        established = {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}
        self.patch(kind, ("", name), {"status": {"conditions": [established]}}, subresource="status")

    def kind(self, plural: str) -> Kind:
        """Return a kind by its plural."""
        return next(kind for kind in self.kinds.values() if kind.plural == plural)

    @property
    def version(self) -> int:
        """The version of the newest change."""
        return self._version

    def of(self, kind: Kind) -> dict[Name, Document]:
        """Return all objects of a kind; not to be changed."""
        return self._objects.setdefault((kind.group, kind.plural), {})

    def get(self, kind: Kind, key: Name) -> Document:
        """Return one object.

        Raises:
            RefusedError: 404 where it is not there.
        """
        try:
            return self.of(kind)[key]
        except KeyError:
            raise not_found(kind, key[1]) from None

    def selected(self, kind: Kind, *, namespace: str | None, matches: Matcher) -> list[Document]:
        """Return objects in the order of their names, as lists have them."""
        found = self.of(kind).items()
        return [
            document
            for (place, _), document in sorted(found)
            if namespace in (None, place) and matches(document)
        ]

    # Copies

    def backup(self) -> Backup:
        """Return all objects as they are now."""
        return self._version, {kind: dict(objects) for kind, objects in self._objects.items()}

    def put_back(self, backup: Backup) -> None:
        """Be as at a backup, with the versions of then; watches know nothing of what came between."""
        self._version, objects = backup
        self._objects = {kind: dict(found) for kind, found in objects.items()}
        self.forget_history()

    # Writes

    def create(self, kind: Kind, body: Document, *, namespace: str = "") -> Document:
        """Create an object.

        Raises:
            RefusedError: the name is taken, or its namespace is not there or being deleted.
        """
        new = copy.deepcopy(body)
        metadata = new["metadata"] = dict(new.get("metadata") or {})
        name = metadata.get("name") or f"{metadata.get('generateName', '')}{uuid.uuid4().hex[:5]}"
        if not metadata.get("name") and not metadata.get("generateName"):
            raise invalid(kind, "", "metadata.name: Required value: name or generateName is required")
        self._check_namespace(kind, namespace, name)
        if (namespace, name) in self.of(kind):
            raise RefusedError(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists')
        for each in _SYSTEM_FIELDS:
            metadata.pop(each, None)
        metadata |= {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": rfc3339(self._now())}
        if namespace:
            metadata["namespace"] = namespace
        if kind.has_generation:
            metadata["generation"] = 1
        if kind.has_status:
            new.pop("status", None)
        if kind.plural == "namespaces":
            new["status"] = {"phase": "Active"}
        _encode_string_data(new)
        new = self._admitted(kind, new)
        return self._put(kind, (namespace, name), new, "ADDED")

    def patch(self, kind: Kind, key: Name, change: Document, *, subresource: str = "") -> Document:
        """Apply a merge patch; `metadata.resourceVersion` and `metadata.uid` in it are guards.

        Raises:
            RefusedError: the object is not there, or a guard does not hold.
        """
        old = self.get(kind, key)
        self._check_guards(kind, old, change.get("metadata") or {})
        return self._replace(kind, key, merge(old, change), subresource=subresource)

    def update(self, kind: Kind, key: Name, body: Document, *, subresource: str = "") -> Document:
        """Replace an object, as PUT does.

        Raises:
            RefusedError: the object is not there, or a guard does not hold.
        """
        self._check_guards(kind, self.get(kind, key), body.get("metadata") or {})
        return self._replace(kind, key, body, subresource=subresource)

    def _replace(self, kind: Kind, key: Name, wanted: Document, *, subresource: str) -> Document:
        old = self.get(kind, key)
        new = copy.deepcopy(wanted)
        kept = {name: old["metadata"][name] for name in _SYSTEM_FIELDS if name in old["metadata"]}
        metadata = {
            each: value for each, value in new["metadata"].items() if each not in _SYSTEM_FIELDS
        } | kept
        new |= {"metadata": metadata, "apiVersion": kind.api_version, "kind": kind.kind}
        if subresource == "status":
            new = {**old, "status": new.get("status", {})}
        elif kind.has_status:
            new = {**new, "status": old.get("status", {})}
        _encode_string_data(new)
        new = self._admitted(kind, new)
        if new == old:
            return old  # the real one writes nothing either
        if "deletionTimestamp" in old["metadata"]:
            self._check_finalizers(kind, old, new)
            # A namespace goes when it is empty, not by finalizers in its metadata.
            if not new["metadata"].get("finalizers") and kind.plural != "namespaces":
                return self._remove(kind, key, new)
        if kind.has_generation and _content(new) != _content(old):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self._put(kind, key, new, "MODIFIED")

    def delete(self, kind: Kind, key: Name, *, preconditions: Document | None = None) -> Document:
        """Delete an object; one with finalizers is marked, and stays until the last of them is gone.

        Raises:
            RefusedError: it is not there, or a precondition does not hold.
        """
        old = self.get(kind, key)
        self._check_guards(kind, old, preconditions or {}, deletion=True)
        if kind.plural == "namespaces":
            return self._delete_namespace(kind, old)
        if not old["metadata"].get("finalizers"):
            return self._remove(kind, key, old)
        return self._marked(kind, key, old)

    def _marked(self, kind: Kind, key: Name, old: Document) -> Document:
        if "deletionTimestamp" in old["metadata"]:
            return old
        new = copy.deepcopy(old)
        new["metadata"] |= {"deletionTimestamp": rfc3339(self._now()), "deletionGracePeriodSeconds": 0}
        if kind.has_generation:
            new["metadata"]["generation"] += 1
        return self._put(kind, key, new, "MODIFIED")

    def _delete_namespace(self, kind: Kind, old: Document) -> Document:
        """Mark a namespace and all in it, as the API server and the controller manager do together."""
        name = old["metadata"]["name"]
        marked = self._marked(kind, ("", name), {**old, "status": {"phase": "Terminating"}})
        for each in self.kinds.values():
            for key in [key for key in self.of(each) if key[0] == name]:
                if key in self.of(each):
                    self.delete(each, key)
        self._reap(name)
        return marked

    def _reap(self, namespace: str) -> None:
        """Remove a namespace that is being deleted once nothing is left in it."""
        kind = self.kind("namespaces")
        document = self.of(kind).get(("", namespace))
        if document is None or "deletionTimestamp" not in document["metadata"]:
            return
        if not any(key[0] == namespace for objects in self._objects.values() for key in objects):
            self._remove(kind, ("", namespace), document)

    # Checks

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        found = self.of(self.kind("namespaces")).get(("", namespace))
        if found is None:
            raise RefusedError(404, "NotFound", f'namespaces "{namespace}" not found')
        if "deletionTimestamp" in found["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            message = f'{kind.qualified} "{name}" is forbidden: {why}'
            raise RefusedError(403, "Forbidden", message, cause="NamespaceTerminating")

    def _check_guards(self, kind: Kind, old: Document, guards: Document, *, deletion: bool = False) -> None:
        name = old["metadata"]["name"]
        for guard in ("resourceVersion", "uid"):
            wanted, real = guards.get(guard), old["metadata"][guard]
            if not wanted or wanted == real:
                continue
            if guard == "uid" and not deletion:
                raise invalid(kind, name, f'metadata.uid: Invalid value: "{wanted}": field is immutable')
            why = f"Precondition failed: {guard} in precondition: {wanted}, in object meta: {real}"
            raise conflict(kind, name, why)

    def _check_finalizers(self, kind: Kind, old: Document, new: Document) -> None:
        before, after = (set(each["metadata"].get("finalizers") or []) for each in (old, new))
        if added := after - before:
            why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
            raise invalid(kind, old["metadata"]["name"], f"{why}, found new finalizers {sorted(added)}")

    def _admitted(self, kind: Kind, body: Document) -> Document:
        for each in self.admission:
            each(kind, body)
        return kind.admitted(body)

    # History

    def _put(self, kind: Kind, key: Name, document: Document, event: str) -> Document:
        self._version += 1
        metadata = {**document["metadata"], "resourceVersion": str(self._version)}
        stored = {**document, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        before = self.of(kind).get(key)
        self.of(kind)[key] = stored
        self._happened(Event(self._version, kind, event, stored, before))
        return stored

    def _remove(self, kind: Kind, key: Name, document: Document) -> Document:
        self._version += 1
        before = self.of(kind).pop(key)
        last = {**document, "metadata": {**document["metadata"], "resourceVersion": str(self._version)}}
        self._happened(Event(self._version, kind, "DELETED", last, before))
        if key[0]:
            self._reap(key[0])
        return last

    def _happened(self, event: Event) -> None:
        if len(self._events) == self._events.maxlen:
            self._forgotten = self._events[0].version
        self._events.append(event)
        for each in self.observers:
            each(event)
        # Watchers hold the old Event object; each waits on the one that it saw last.
        self._changed.pop(event.kind.plural, asyncio.Event()).set()

    def changed(self, kind: Kind) -> asyncio.Event:
        """Return what is set at the next change of a kind."""
        return self._changed[kind.plural]

    def since(self, version: int) -> list[Event]:
        """Return what happened after a version.

        Raises:
            RefusedError: 410 where that is no longer known.
        """
        if version < self._forgotten:
            raise RefusedError(410, "Expired", f"too old resource version: {version} ({self._forgotten})")
        found: list[Event] = []
        for event in reversed(self._events):
            if event.version <= version:
                break
            found.append(event)
        return found[::-1]

    def forget_history(self) -> None:
        """Forget what happened so far, as a restart of the API server does: older watches get 410."""
        self._events.clear()
        self._forgotten = self._version

    def roll_back(self, versions: int) -> None:
        """Set the counter of versions back, as a restore of etcd does; the objects are the test's to change."""
        self._version -= versions
        self.forget_history()


def _content(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in ("metadata", "status")}


def _encode_string_data(document: Document) -> None:
    if plain := document.pop("stringData", None):
        encoded: dict[str, Any] = {
            key: base64.b64encode(value.encode()).decode() for key, value in plain.items()
        }
        document["data"] = {**document.get("data", {}), **encoded}
