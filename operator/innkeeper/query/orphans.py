"""Orphans as the query API shows them, and the two words that a person may say about one: adoption and removal.

Each needs a right on Guests as well, since it is as good as to list, create or delete one. What is said is written down
in the API server; the leading operator acts on it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from innkeeper.clock import rfc3339
from innkeeper.domain.lifecycle.revival import NotRevivableError
from innkeeper.domain.names import GROUP as GUESTS_GROUP
from innkeeper.kube.errors import ApiError
from innkeeper.query import documents
from innkeeper.query.answers import in_json
from innkeeper.query.authorise import Authorise
from innkeeper.query.refusal import RefusedError, refusal
from innkeeper.workers.orphans.finding import Orphan, Orphans
from innkeeper.workers.orphans.word import OrderUnknownError, OrphanWord


class OrphanRoutes:
    """The endpoints."""

    def __init__(self, orphans: Orphans, word: OrphanWord, *, authorise: Authorise) -> None:
        self._orphans = orphans
        self._word = word
        self._authorise = authorise

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        """Add the endpoints below `base`."""
        one = base + "/namespaces/{namespace}/orphans/{name}"
        router.add_get(base + "/orphans", self._list)
        router.add_get(base + "/namespaces/{namespace}/orphans", self._list)
        router.add_post(one + "/adoption", self._adopt)
        router.add_post(one + "/removal", self._remove)

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace", "")
        await self._authorise(request, "list", "orphans", namespace=namespace)
        await self._authorise(request, "list", "guests", namespace=namespace, group=GUESTS_GROUP)
        found = [each for each in self._known() if not namespace or each.namespace == namespace]
        items = [self._document(each) for each in found]
        return in_json(
            {"kind": "OrphanList", "apiVersion": documents.API_VERSION, "metadata": {}, "items": items}
        )

    async def _adopt(self, request: web.Request) -> web.Response:
        orphan, *_ = await self._asked(request, "adoption", "create")
        await _carried_out(lambda: self._word.adopt(orphan))
        return in_json(self._document(orphan), status=201)

    async def _remove(self, request: web.Request) -> web.Response:
        """Where several hosts hold the guest, it is removed from each."""
        found = await self._asked(request, "removal", "delete")
        for orphan in found:
            await _carried_out(lambda orphan=orphan: self._word.remove(orphan))  # type: ignore[misc] # a lambda with a default
        return in_json(self._document(found[0]), status=201)

    async def _asked(self, request: web.Request, subresource: str, verb: str) -> list[Orphan]:
        """Return the orphan that a word is about, as each host has it; the latest order first."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        await self._authorise(
            request, "create", "orphans", subresource=subresource, namespace=namespace, name=name
        )
        await self._authorise(request, verb, "guests", namespace=namespace, group=GUESTS_GROUP)
        self._known()
        found = self._orphans.find(namespace, name)
        if not found:
            message = f"no host holds a guest {name} of the namespace {namespace} that has no Guest object"
            raise refusal(404, "NotFound", message)
        return found

    def _known(self) -> list[Orphan]:
        if not self._orphans.is_known:
            message = "what hosts hold is not known yet, or the view is old; ask again in a minute"
            raise refusal(503, "ServiceUnavailable", message)
        return self._orphans.all()

    def _document(self, orphan: Orphan) -> documents.Document:
        return {
            "kind": "Orphan",
            "apiVersion": documents.API_VERSION,
            "metadata": {"name": orphan.guest_id, "namespace": orphan.namespace},
            "status": {
                "guest": orphan.name,
                "host": orphan.host,
                "since": rfc3339(orphan.since),
                "state": self._orphans.state_of(orphan),
                "epoch": orphan.rank.epoch,
                "serial": orphan.rank.serial,
            },
        }


async def _carried_out(deed: Callable[[], Awaitable[Any]]) -> None:
    """Do something, or say why it cannot be done.

    Raises:
        RefusedError: it cannot.
    """
    try:
        await deed()
    except NotRevivableError as error:
        raise refusal(409, "Conflict", error.message) from error
    except OrderUnknownError as error:
        raise refusal(503, "ServiceUnavailable", error.message) from error
    except ApiError as error:
        raise _passed_on(error) from error


def _passed_on(error: ApiError) -> RefusedError:
    code = error.status if 400 <= error.status < 500 else 503  # noqa: PLR2004 - HTTP's own numbers
    return refusal(code, error.reason, f"the operator's own write was refused: {error.message}")
