"""The HTTP face of the query API: routes, who may use them, errors as metav1.Status.

Every answer comes from the subset as it is at that moment, explanations of many hosts a few hosts at a time. Each request
is authenticated and then authorised by the API server's own rules, both from kept answers where they are fresh. Requests
beyond a number that runs at once are sent away; discovery never is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
from aiohttp import web

from innkeeper.clock import Clock
from innkeeper.domain.host_console import ConsolePart, is_place
from innkeeper.domain.query.pages import Page, Paging, page
from innkeeper.domain.query.selectors import QueryInvalidError, field_selector, label_selector
from innkeeper.errors import InnkeeperError
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.kube.reviews import AccessReviews, Deed, User
from innkeeper.query import documents, dry_run
from innkeeper.query.ages import ViewAges, old_view
from innkeeper.query.answers import in_json
from innkeeper.query.callers import Callers, UnauthenticatedError
from innkeeper.query.limits import Limit
from innkeeper.query.orphans import OrphanRoutes
from innkeeper.query.refusal import RefusedError, forbidden, refusal
from innkeeper.query.usage import UsageOf, UsageRoutes
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.workers.explaining import Explained
from innkeeper.workers.orphans.finding import Orphans
from innkeeper.workers.orphans.word import OrphanWord

log = structlog.get_logger(__name__)

MAX_BODY = 1024 * 1024
MAX_AT_ONCE = 64
MAX_OF_ONE_USER = 32
# Questions that wait for hosts.
MAX_OF_HOSTS_AT_ONCE = 32
MAX_OF_HOSTS_OF_ONE_USER = 8
# How many guests are looked at before others get their turn.
GUESTS_AT_ONCE = 1000
MOST_ITEMS = 500
MOST_CONSOLE_BYTES = 1024 * 1024
_BASE = f"/apis/{documents.API_VERSION}"
_DISCOVERY = "discovery"
_ASKS_HOSTS = ("/usage", "/console", "guestusages")
_USER = web.RequestKey("user", User)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Explainer(Protocol):
    """Whoever can say where a guest would go, and why."""

    async def explain(self, guest: Guest, *, hosts: Sequence[str]) -> Explained:
        """Return what would be decided, and every rule's verdict on some hosts."""
        ...


class ConsoleOf(Protocol):
    """Reads the end of a guest's console log from its host, or what came since an answer ended."""

    async def __call__(
        self, host: str, guest_id: str, *, max_bytes: int, after: str | None = None
    ) -> ConsolePart:
        """Return it, or raise HostUnreadError."""
        ...


class QueryServer:
    """The endpoints. `ages` tells how old the view is, `is_complete` whether there is one yet."""

    def __init__(
        self,
        subset: Subset,
        *,
        callers: Callers,
        access: AccessReviews,
        explainer: Explainer,
        ages: ViewAges,
        version: Callable[[], str],
        is_complete: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._subset = subset
        self._callers = callers
        self._access = access
        self._explainer = explainer
        self._ages = ages
        self._version = version
        self._is_complete = is_complete
        self._clock = clock
        self._orphans: OrphanRoutes | None = None
        self._console: ConsoleOf | None = None
        self._usage: UsageRoutes | None = None
        self._limit = Limit(most=MAX_AT_ONCE, most_of_one=MAX_OF_ONE_USER)
        self._limit_of_hosts = Limit(most=MAX_OF_HOSTS_AT_ONCE, most_of_one=MAX_OF_HOSTS_OF_ONE_USER)
        self._observe: Callable[[str, int, float], None] = lambda route, code, seconds: None  # noqa: ARG005 - a default that does nothing

    def observed_by(self, observe: Callable[[str, int, float], None]) -> None:
        """Tell somebody of each answer: what was asked (see `_route`), the HTTP status, and how many seconds it took."""
        self._observe = observe

    def tell_of_orphans(self, orphans: Orphans, word: OrphanWord) -> None:
        """Answer who asks for orphans, too, and write down what people say about them."""
        self._orphans = OrphanRoutes(orphans, word, authorise=self._authorise)

    def tell_of_consoles(self, console: ConsoleOf) -> None:
        """Answer who asks what a guest wrote to its console, too."""
        self._console = console

    def tell_of_usage(self, usage: UsageOf) -> None:
        """Answer who asks how much processor and memory guests take, too."""
        self._usage = UsageRoutes(
            self._subset, usage, authorise=self._authorise, named=self._named, clock=self._clock
        )

    def application(self) -> web.Application:
        """Return the application, ready to be run."""
        application = web.Application(client_max_size=MAX_BODY, middlewares=[self._note, self._answer_errors])
        add = application.router.add_get
        for path, document in (
            ("/apis", documents.API_GROUPS),
            (f"/apis/{documents.GROUP}", documents.API_GROUP),
            (_BASE, documents.RESOURCES),
            ("/openapi/v2", documents.OPEN_API),
        ):
            add(path, self._fixed(document))
        add(_BASE + "/guestids/{id}", self._find)
        add(_BASE + "/guestviews", self._list)
        add(_BASE + "/namespaces/{namespace}/guestviews", self._list)
        add(_BASE + "/namespaces/{namespace}/guestviews/{name}", self._get)
        add(_BASE + "/namespaces/{namespace}/guestviews/{name}/explanation", self._explain)
        add(_BASE + "/namespaces/{namespace}/guestviews/{name}/console", self._show_console)
        application.router.add_post(_BASE + "/namespaces/{namespace}/explanations", self._try)
        if self._orphans is not None:
            self._orphans.add_to(application.router, _BASE)
        if self._usage is not None:
            self._usage.add_to(application.router, _BASE)
        return application

    def _fixed(self, document: documents.Document) -> Handler:
        async def answer(_request: web.Request) -> web.Response:
            return in_json(document)

        return answer

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace", "")
        await self._authorise(request, "list", "guestviews", namespace=namespace)
        # Of the moment in which the guests are taken: between some of them and the next, others get their turn.
        version, age_s = self._version(), self._ages.of_guests()
        found = await self._page(request, namespace)
        if "as=Table" in request.headers.get("Accept", ""):
            return old_view(in_json(documents.table(found, version=version)), age_s=age_s)
        return in_json(documents.guest_list(found, version=version, age_s=age_s))

    async def _page(self, request: web.Request, namespace: str) -> Page[Guest]:
        query = request.query
        labels = label_selector(query.get("labelSelector", ""))
        fields = field_selector(query.get("fieldSelector", ""), known=documents.FIELDS)
        order = query.get("sortBy", "namespace")
        reverse, order = order.startswith("-"), order.removeprefix("-")
        if order not in documents.ORDERS:
            raise QueryInvalidError(
                f"sortBy knows {', '.join(documents.ORDERS)}, with - before it for the reverse"
            )
        paging: Paging[Guest] = Paging(
            lambda guest: documents.place(guest, order),
            limit=_number(query.get("limit"), most=MOST_ITEMS),
            after=query.get("continue", ""),
            reverse=reverse,
        )
        guests = self._subset.guests_of_namespace(namespace) if namespace else [*self._subset.guests.values()]
        for begin in range(0, len(guests), GUESTS_AT_ONCE):
            paging.take(
                guest
                for guest in guests[begin : begin + GUESTS_AT_ONCE]
                if labels.matches(guest.metadata.labels)
                and fields.matches(lambda name, guest=guest: documents.field(guest, name))  # type: ignore[misc] # a lambda with a default
            )
            await asyncio.sleep(0)
        return paging.page()

    async def _get(self, request: web.Request) -> web.Response:
        guest = await self._named(request, "guestviews")
        return in_json(documents.guest_view(guest))

    async def _find(self, request: web.Request) -> web.Response:
        """Show the guest of a Guest ID; who may not see it learns no more than that there is none for them."""
        guest_id = request.match_info["id"]
        await self._authorise(request, "get", "guestids", namespace="", name=guest_id)
        unknown = refusal(404, "NotFound", f'there is no guest "{guest_id}" that you may see')
        key = self._subset.guest_keys.get(guest_id)
        if key is None:
            raise unknown
        namespace, name = key
        try:
            await self._authorise(request, "get", "guestviews", namespace=namespace, name=name)
        except RefusedError:
            raise unknown from None
        guest = self._subset.guests.get(key)
        if guest is None or guest_id_of(guest) != guest_id:
            raise unknown  # it went while it was asked who may see it
        return in_json(documents.guest_view(guest))

    async def _explain(self, request: web.Request) -> web.Response:
        guest = await self._named(request, "guestviews", subresource="explanation")
        return await self._explained(request, guest)

    async def _show_console(self, request: web.Request) -> web.Response:
        guest = await self._named(request, "guestviews", subresource="console")
        most = _number(request.query.get("limitBytes"), most=MOST_CONSOLE_BYTES)
        after = request.query.get("after")
        if after and not is_place(after):
            raise QueryInvalidError("after is the `end` of an earlier answer")
        if self._console is None or guest.status.host is None:
            raise refusal(409, "Conflict", "the guest is on no host yet, and so has written nothing")
        try:
            found = await self._console(guest.status.host, guest_id_of(guest), max_bytes=most, after=after)
        except HostUnreadError as error:
            raise refusal(503, "ServiceUnavailable", error.message) from error
        return in_json(documents.console(guest, found))

    async def _try(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        await self._authorise(request, "create", "explanations", namespace=namespace)
        guest = dry_run.manifest(await request.read(), namespace, now=self._clock.now())
        return await self._explained(request, guest, status=201)

    async def _explained(self, request: web.Request, guest: Guest, *, status: int = 200) -> web.Response:
        only = frozenset(request.query.getall("host", ()))
        hosts = page(
            (name for name in self._subset.hosts if not only or name in only),
            lambda name: (name,),
            limit=_number(request.query.get("limit"), most=MOST_ITEMS),
            after=request.query.get("continue", ""),
        )
        age_s = self._ages.of_all()
        found = await self._explainer.explain(guest, hosts=hosts.items)
        answer = documents.explanation(guest, found, age_s=age_s, after=hosts.next)
        return in_json(answer, status=status)

    async def _named(self, request: web.Request, resource: str, *, subresource: str = "") -> Guest:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        await self._authorise(
            request, "get", resource, subresource=subresource, namespace=namespace, name=name
        )
        guest = self._subset.guests.get((namespace, name))
        if guest is None:
            raise refusal(
                404, "NotFound", f'guests.innkeeper.dev "{name}" not found in namespace {namespace}'
            )
        return guest

    async def _authorise(
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
        user = request[_USER]
        deed = Deed(
            verb=verb,
            group=group,
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )
        if not await self._access.allows(user, deed):
            raise forbidden(user, deed)
        if not self._is_complete():
            raise refusal(503, "ServiceUnavailable", "the first lists are not complete yet; ask again")

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began = self._clock.monotonic()
        answer = await handler(request)
        self._observe(_route(request), answer.status, self._clock.monotonic() - began)
        return answer

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await self._within_limits(request, handler)
        except ConnectionResetError:
            raise  # the reader went away; there is nobody to answer
        except RefusedError as error:
            return error.answer
        except web.HTTPException as error:
            return _error(error.status, error.reason.replace(" ", ""), error.text or error.reason)
        except (InnkeeperError, QueryInvalidError) as error:
            return _failure(error)
        except Exception:
            log.exception("query_broke", path=request.path)
            return _error(500, "InternalError", "the query failed; the operator's log says why")

    async def _within_limits(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks, and answer unless too much is asked already."""
        user = await self._callers.user_of(request)
        request[_USER] = user
        route = _route(request)
        if route == _DISCOVERY:
            return await handler(request)
        limit = self._limit_of_hosts if route.endswith(_ASKS_HOSTS) else self._limit
        with limit.one_of(user.name):
            return await handler(request)


def _route(request: web.Request) -> str:
    """Return the pattern of what is asked: one of few, whatever names the path holds."""
    resource = request.match_info.route.resource
    if resource is None:
        return "other"
    route = resource.canonical.removeprefix(f"{_BASE}/")
    return route if route != resource.canonical else _DISCOVERY


def _failure(error: InnkeeperError | QueryInvalidError) -> web.Response:
    if isinstance(error, QueryInvalidError):
        return _error(400, "BadRequest", str(error))
    if isinstance(error, UnauthenticatedError):
        return _error(401, error.reason, error.message)
    # Whatever else goes wrong lies between this server and the API server, which is asked about callers.
    return _error(503, "ServiceUnavailable", f"who asks cannot be looked at: {error.message}")


def _number(text: str | None, *, most: int) -> int:
    """Return a number of a query, at most `most`; 0 and none mean the most."""
    if not text or text == "0":
        return most
    if not text.isascii() or not text.isdigit() or len(text) > 10:  # noqa: PLR2004 - no number of a query is longer
        raise QueryInvalidError(f"{text[:20]!r} is no number")
    return min(most, int(text))


def _error(code: int, reason: str, message: str) -> web.Response:
    return refusal(code, reason, message).answer
