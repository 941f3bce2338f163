"""How routes ask whether the sender of a request may do something; the server has the answer."""

from typing import Protocol

from aiohttp import web

from innkeeper.query import documents


class Authorise(Protocol):
    """Refuses a request whose sender may not do something; the group is the query API's own unless one is given."""

    async def __call__(
        self,
        request: web.Request,
        verb: str,
        resource: str,
        *,
        namespace: str,
        subresource: str = "",
        name: str = "",
        group: str = documents.GROUP,
    ) -> None:
        """Return, or raise what the sender is told."""
        ...
