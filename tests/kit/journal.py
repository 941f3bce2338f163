"""Every version of our objects that an API server held while a test ran, as JSON: what a pipeline could have seen.

It watches each kind; nothing is written. Objects are told apart by kind and name.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from innkeeper.domain.names import GROUP
from innkeeper.kube import resources
from innkeeper.kube.answers import Lines
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ThrottledError
from innkeeper.kube.resources import Resource
from tests.kit.kstatus import Status, status_of
from tests.kit.waiting import eventually

Document = dict[str, Any]
OWN: dict[str, Resource[Any]] = {
    each.kind: each for each in vars(resources).values() if isinstance(each, Resource) and each.group == GROUP
}


class Journal:
    """What was seen, in order; deletions are versions too, the last ones."""

    def __init__(self) -> None:
        self._versions: defaultdict[tuple[str, str], list[Document]] = defaultdict(list)
        self._gone: set[tuple[str, str]] = set()

    def note(self, event: Document) -> None:
        """Take one event of a watch."""
        found = event["object"]
        key = (found["kind"], found["metadata"]["name"])
        self._versions[key].append(found)
        (self._gone.add if event["type"] == "DELETED" else self._gone.discard)(key)

    def all(self) -> list[Document]:
        """Return every version of every object."""
        return [each for versions in self._versions.values() for each in versions]

    def versions(self, kind: str, name: str) -> list[Document]:
        """Return the versions of one object."""
        return list(self._versions[kind, name])

    def newest(self, kind: str, name: str) -> Document | None:
        """Return an object as it is, or None where it is not, or no more."""
        key = (kind, name)
        return None if key in self._gone or not self._versions[key] else self._versions[key][-1]

    def status(self, kind: str, name: str) -> Status:
        """Return what kstatus says of an object now."""
        return status_of(self.newest(kind, name))

    def course(self, kind: str, name: str) -> list[str]:
        """Return the statuses that an object went through, each once in a row."""
        found: list[str] = []
        for each in self.versions(kind, name):
            status = status_of(each).value
            if found[-1:] != [status]:
                found.append(status)
        return found


@asynccontextmanager
async def journal(client: Client) -> AsyncIterator[Journal]:
    """Watch all of our kinds until the context ends; what is there already is not told."""
    book = Journal()
    opened = [asyncio.Event() for _ in OWN]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_watch(client, resource, book, event))
            for resource, event in zip(OWN.values(), opened, strict=True)
        ]
        for event in opened:
            await event.wait()
        yield book
        for task in tasks:
            task.cancel()


async def _watch(client: Client, resource: Resource[Any], book: Journal, opened: asyncio.Event) -> None:
    version = await eventually(lambda: _version(client, resource), deadline_s=30)
    query = {"watch": "1", "resourceVersion": str(version), "timeoutSeconds": "900"}
    async with client.streamed(resource.path(), query=query) as answer:
        opened.set()
        lines = Lines()
        while chunk := await answer.chunk():
            for line in lines.of(chunk):
                book.note(json.loads(line))


async def _version(client: Client, resource: Resource[Any]) -> int | None:
    try:
        return await client.version_of(resource)
    except ThrottledError:
        return None  # its storage begins only now: the kind was installed a moment ago
