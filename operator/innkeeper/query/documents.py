"""What the answers look like: GuestViews and Explanations as objects, lists and tables, and metav1.Status for errors.

Plain dictionaries made from views; nothing is looked up here but the fields of the object itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from innkeeper.domain.host_console import ConsolePart
from innkeeper.domain.query.pages import Page, Place
from innkeeper.domain.reasons import ConditionType
from innkeeper.kube.conditions import find
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition
from innkeeper.workers.explaining import Explained

GROUP = "query.innkeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
Document = dict[str, Any]
# What a list can be filtered and sorted by. One is read for each of many guests: the others cost nothing.
_READERS: Mapping[str, Callable[[Guest], str | None]] = {
    "metadata.name": lambda guest: guest.metadata.name,
    "metadata.namespace": lambda guest: guest.metadata.namespace,
    "spec.power": lambda guest: guest.spec.power,
    "spec.flavor": lambda guest: guest.spec.flavor,
    "spec.image": lambda guest: guest.spec.image.name,
    "status.host": lambda guest: guest.status.host,
    "status.cluster": lambda guest: guest.status.cluster,
    "status.ready": lambda guest: ready.status if (ready := _ready(guest)) else "Unknown",
    "status.reason": lambda guest: ready.reason if (ready := _ready(guest)) else "",
}
FIELDS = tuple(_READERS)
ORDERS = ("name", "namespace", "age", "priority", "host", "cluster", "ready", "reason")
_COLUMNS = (
    ("Namespace", "string", 1),
    ("Name", "string", 0),
    ("Ready", "string", 0),
    ("Power", "string", 0),
    ("Host", "string", 0),
    ("IP", "string", 0),
    ("Reason", "string", 0),
    ("Cluster", "string", 1),
    ("Flavor", "string", 1),
    ("Image", "string", 1),
    ("Created At", "date", 0),
)


def field(guest: Guest, name: str) -> str:
    """Return the value of a field that lists are filtered by; empty where it is not set."""
    return _READERS[name](guest) or ""


def _ready(guest: Guest) -> Condition | None:
    return find(guest.status.conditions, ConditionType.READY)


def place(guest: Guest, order: str) -> Place:
    """Return where a guest stands in a sorted list."""
    meta = guest.metadata
    key: str | int
    if order == "priority":
        key = guest.spec.priority
    elif order == "age":
        key = meta.creation_timestamp
    else:
        group = "metadata" if order in ("name", "namespace") else "status"
        key = field(guest, f"{group}.{order}")
    return (key, meta.namespace, meta.name)


def guest_view(guest: Guest) -> Document:
    """Return a guest as this API shows it."""
    meta, status = guest.metadata, guest.status
    ready = find(status.conditions, ConditionType.READY)
    return {
        "kind": "GuestView",
        "apiVersion": API_VERSION,
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "labels": meta.labels,
            "creationTimestamp": meta.creation_timestamp or None,
        },
        "spec": {
            "power": guest.spec.power,
            "flavor": guest.spec.flavor,
            "image": guest.spec.image.name,
            "priority": guest.spec.priority,
        },
        "status": {
            "id": status.id,
            "host": status.host,
            "cluster": status.cluster,
            "addresses": [each.address for each in status.addresses],
            "ready": ready.status if ready else "Unknown",
            "reason": ready.reason if ready else "",
            "message": ready.message if ready else "",
        },
    }


def guest_list(page: Page[Guest], *, version: str, age_s: float) -> Document:
    """Return a page of guests."""
    return {
        "kind": "GuestViewList",
        "apiVersion": API_VERSION,
        "metadata": _list_meta(page, version),
        "viewAgeSeconds": round(age_s, 3),
        "items": [guest_view(each) for each in page.items],
    }


def table(page: Page[Guest], *, version: str) -> Document:
    """Return a page of guests as kubectl prints it."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": _list_meta(page, version),
        "columnDefinitions": [
            {"name": name, "type": kind, "format": "", "description": name, "priority": priority}
            for name, kind, priority in _COLUMNS
        ],
        "rows": [_row(each) for each in page.items],
    }


def _row(guest: Guest) -> Document:
    view = guest_view(guest)
    status, spec, meta = view["status"], view["spec"], view["metadata"]
    cells = [
        meta["namespace"],
        meta["name"],
        status["ready"],
        spec["power"],
        status["host"],
        (status["addresses"] or [None])[0],
        status["reason"],
        status["cluster"],
        spec["flavor"],
        spec["image"],
        meta["creationTimestamp"],
    ]
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    return {"cells": cells, "object": partial}


def _list_meta(page: Page[Guest], version: str) -> Document:
    meta: Document = {"resourceVersion": version}
    if page.next:
        meta |= {"continue": page.next, "remainingItemCount": page.remaining}
    return meta


def explanation(guest: Guest, found: Explained, *, age_s: float, after: str) -> Document:
    """Return why a guest would go where; `after` is what to ask with for the verdicts on further hosts."""
    told, blocked = found.explanation, found.blocked
    status: Document = {
        "viewAgeSeconds": round(age_s, 3),
        "current": guest.status.host,
        "message": found.message,
        "chosen": found.chosen,
        "blocked": None,
        "hosts": told.hosts if told else 0,
        "fits": told.fits if told else 0,
        "rules": msgspec.to_builtins(told.rules) if told else [],
        "verdicts": msgspec.to_builtins(found.verdicts),
    }
    if blocked is not None:
        status["blocked"] = {"step": blocked.step, "reason": blocked.reason, "message": blocked.message}
    if told is not None and after:
        status["continue"] = after
    meta: Document = {"name": guest.metadata.name, "namespace": guest.metadata.namespace}
    return {"kind": "Explanation", "apiVersion": API_VERSION, "metadata": meta, "status": status}


def console(guest: Guest, part: ConsolePart) -> Document:
    """Return what a guest wrote to its console; bytes that are no UTF-8 become the replacement character."""
    return {
        "kind": "Console",
        "apiVersion": API_VERSION,
        "metadata": {"name": guest.metadata.name, "namespace": guest.metadata.namespace},
        "text": part.written.decode(errors="replace"),
        "end": part.end,
        "leftOut": part.is_some_left_out,
    }


def error(code: int, reason: str, message: str, *, causes: Sequence[Mapping[str, str]] = ()) -> Document:
    """Return an error as the API server's own errors look."""
    found: Document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    if causes:
        found["details"] = {"group": GROUP, "causes": list(causes)}
    return found


def _verbs(*verbs: str) -> list[str]:
    return list(verbs)


RESOURCES: Document = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": API_VERSION,
    "resources": [
        {
            "name": "guestviews",
            "singularName": "guestview",
            "namespaced": True,
            "kind": "GuestView",
            "verbs": _verbs("get", "list"),
        },
        {
            "name": "guestviews/explanation",
            "singularName": "",
            "namespaced": True,
            "kind": "Explanation",
            "verbs": _verbs("get"),
        },
        {
            "name": "guestviews/console",
            "singularName": "",
            "namespaced": True,
            "kind": "Console",
            "verbs": _verbs("get"),
        },
        {
            "name": "guestviews/usage",
            "singularName": "",
            "namespaced": True,
            "kind": "GuestUsage",
            "verbs": _verbs("get"),
        },
        {
            "name": "guestusages",
            "singularName": "guestusage",
            "namespaced": True,
            "kind": "GuestUsage",
            "verbs": _verbs("list"),
        },
        {
            "name": "guestids",
            "singularName": "guestid",
            "namespaced": False,
            "kind": "GuestView",
            "verbs": _verbs("get"),
        },
        {
            "name": "explanations",
            "singularName": "explanation",
            "namespaced": True,
            "kind": "Explanation",
            "verbs": _verbs("create"),
        },
        {
            "name": "orphans",
            "singularName": "orphan",
            "namespaced": True,
            "kind": "Orphan",
            "verbs": _verbs("list"),
        },
        *(
            {
                "name": f"orphans/{word}",
                "singularName": "",
                "namespaced": True,
                "kind": "Orphan",
                "verbs": _verbs("create"),
            }
            for word in ("adoption", "removal")
        ),
    ],
}
_THIS_VERSION = {"groupVersion": API_VERSION, "version": VERSION}
API_GROUP: Document = {
    "kind": "APIGroup",
    "apiVersion": "v1",
    "name": GROUP,
    "versions": [_THIS_VERSION],
    "preferredVersion": _THIS_VERSION,
}
API_GROUPS: Document = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [API_GROUP]}
OPEN_API: Document = {
    "swagger": "2.0",
    "info": {"title": "Innkeeper queries", "version": VERSION},
    "paths": {},
    "definitions": {},
}
