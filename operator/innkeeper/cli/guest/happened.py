"""events: what happened to one guest, the oldest first, from all that the API server knows of it.

Three sources: Kubernetes Events about the Guest, the last change of each of its conditions, and the steps of its
GuestOperations. None of them is a full history: Events expire, and a condition tells its last change only.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import typer

from innkeeper.cli.guest import tables
from innkeeper.cli.guest.asking import OWN, Asking
from innkeeper.cli.guest.layers import Document, condition
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, dump, print_lines, say
from innkeeper.cli.guest.targets import Name, find

_LIMIT = 500


class Happening(NamedTuple):
    """One thing that happened. `at` is an RFC 3339 time."""

    at: str
    source: str
    reason: str
    message: str


def events(
    context: typer.Context,
    name: Name,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what happened to a guest: its Events, changes of its conditions, and its operations, by time."""
    asking: Asking = context.obj
    target = find(asking, name, namespace)
    where = quote(target.namespace, safe="")
    guest = asking.get(target.path)
    happened = (
        *_of_conditions(guest),
        *_of_operations(asking, where, guest),
        *_of_events(asking, where, guest),
    )
    ordered = sorted(happened, key=lambda each: (datetime.fromisoformat(each.at), *each[1:]))
    found = [each._replace(at=_whole_seconds(each.at)) for each in ordered]
    if output in (Output.JSON, Output.YAML):
        dump({"kind": "List", "items": [each._asdict() for each in found]}, output)
    elif found:
        now = datetime.now(UTC)
        rows: list[tuple[object, ...]] = [("AGE", "TIME", "SOURCE", "REASON", "MESSAGE")]
        rows += [(tables.age_of(each.at, now=now), *each) for each in found]
        print_lines(tables.columns(rows))
    else:
        say("nothing is known to have happened", to_error=True)


def _of_conditions(guest: Document) -> Iterator[Happening]:
    yield Happening(guest["metadata"]["creationTimestamp"], "Guest", "Created", "")
    for each in guest.get("status", {}).get("conditions", []):
        source = f"{each['type']}={each['status']}"
        yield Happening(each["lastTransitionTime"], source, each["reason"], each["message"])


def _of_operations(asking: Asking, where: str, guest: Document) -> Iterator[Happening]:
    for each in _items(asking, f"{OWN}/namespaces/{where}/guestoperations", {}):
        status = each.get("status", {})
        is_mine = each["spec"]["guestName"] == guest["metadata"]["name"]
        if not is_mine or status.get("guestId") != guest.get("status", {}).get("id"):
            continue
        ready = condition(each, "Ready")
        for step in status.get("steps", []):
            message = each["metadata"]["name"]
            if step["name"] == "Finished":
                message = f"{message}: {ready.get('reason')} {ready.get('message')}".rstrip()
            yield Happening(step["at"], each["spec"]["operation"], step["name"], message)


def _of_events(asking: Asking, where: str, guest: Document) -> Iterator[Happening]:
    uid = guest["metadata"]["uid"]
    query = {"fieldSelector": f"involvedObject.kind=Guest,involvedObject.uid={uid}"}
    for each in _items(asking, f"/api/v1/namespaces/{where}/events", query):
        # What a host told has the very moment; of what happened again, the last time counts.
        at = each.get("eventTime") or each.get("lastTimestamp") or each["metadata"]["creationTimestamp"]
        message = " ".join(str(each.get("message", "")).split())
        yield Happening(at, "Event", each.get("reason", ""), message)


def _items(asking: Asking, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield what a list holds, page by page."""
    after = ""
    while True:
        asked = {**query, "limit": str(_LIMIT), **({"continue": after} if after else {})}
        page = asking.get(f"{path}?{urlencode(asked)}")
        yield from page["items"]
        after = page["metadata"].get("continue", "")
        if not after:
            return


def _whole_seconds(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
