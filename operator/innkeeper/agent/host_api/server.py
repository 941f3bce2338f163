"""The HTTP face of the store: routes, who may ask, and errors as JSON.

    GET /v1/snapshot?after=<Guest ID>&limit=<n>              a page of all that the store holds
    GET /v1/events?store=<store ID>&since=<seq>&limit=<n>    what changed since a cursor; 410 where that is a gap
    GET /v1/guests/<Guest ID>/console?bytes=<n>              the end of what a guest wrote to its console
    GET /v1/guests/<Guest ID>/console?after=<place>          what it wrote since; a header says where the answer ends
    GET /v1/usage                                            how much processor and memory each guest takes now

It reads and changes nothing. TLS has checked the caller's certificate; only the name `innkeeper-operator` may ask. Every
error's body is `{"reason": ..., "message": ...}`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import web

from innkeeper.agent import console
from innkeeper.agent.drivers.driver import DriverError
from innkeeper.agent.figures import AgentFigures
from innkeeper.agent.store.opening import StoreUnusableError
from innkeeper.agent.store.reading import LogGapError
from innkeeper.domain import names
from innkeeper.domain.host_console import END_HEADER, LEFT_OUT_HEADER, ConsolePart, is_place
from innkeeper.domain.host_store import PAGE, Events, Snapshot
from innkeeper.domain.host_usage import HostUsage
from innkeeper.errors import InnkeeperError, TerminalError

log = structlog.get_logger(__name__)

ANSWER_WITHIN_S = 20.0
_MAX_BODY = 1024  # nothing is asked with a body
_MAX_TEXT = 100
_MAX_DIGITS = 18

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class InvalidRequestError(TerminalError):
    """A parameter is missing or not what it should be."""

    reason = "InvalidRequest"


class NotAllowedError(TerminalError):
    """The caller's certificate is not the operator's."""

    reason = "NotAllowed"


class GuestUnknownError(TerminalError):
    """No such guest is held here."""

    reason = "NotFound"


_STATUS: tuple[tuple[type[InnkeeperError], int], ...] = (
    (InvalidRequestError, 400),
    (NotAllowedError, 403),
    (GuestUnknownError, 404),
    (LogGapError, 410),
    (StoreUnusableError, 503),
    (DriverError, 503),
)


class StoreReader(Protocol):
    """What is asked of the store."""

    async def snapshot(self, *, after: str | None = None, limit: int = PAGE) -> Snapshot:
        """Return one page of all that is held."""
        ...

    async def events(self, *, store_id: str, since: int, limit: int = PAGE) -> Events:
        """Return what changed since a cursor."""
        ...


ConsoleLog = Callable[[str], Path | None]  # by Guest ID; None where no such guest is held
UsageOf = Callable[[], Awaitable[HostUsage]]  # of all guests; raises DriverError


class HostApi:
    """The endpoints of one host."""

    def __init__(
        self, store: StoreReader, figures: AgentFigures, *, console_log: ConsoleLog, usage: UsageOf
    ) -> None:
        self._store = store
        self._figures = figures
        self._console_log = console_log
        self._usage = usage
        # One answer after another: a write of the agent waits for one page at most.
        self._reading = asyncio.Lock()

    def application(self) -> web.Application:
        """Return the application, ready to be run."""
        application = web.Application(client_max_size=_MAX_BODY, middlewares=[self._answer])
        application.router.add_get("/v1/snapshot", self._snapshot, name="snapshot", allow_head=False)
        application.router.add_get("/v1/events", self._events, name="events", allow_head=False)
        application.router.add_get(
            "/v1/guests/{guest_id}/console", self._console, name="console", allow_head=False
        )
        application.router.add_get("/v1/usage", self._show_usage, name="usage", allow_head=False)
        return application

    async def _snapshot(self, request: web.Request) -> web.Response:
        after, limit = _text(request, "after"), _limit(request)
        async with self._reading:
            return _json(200, await self._store.snapshot(after=after, limit=limit))

    async def _events(self, request: web.Request) -> web.Response:
        store_id, since, limit = _text(request, "store"), _number(request, "since"), _limit(request)
        if store_id is None or since is None:
            raise InvalidRequestError(
                "name the store and the line that you read last: store=<ID>&since=<number>"
            )
        async with self._reading:
            return _json(200, await self._store.events(store_id=store_id, since=since, limit=limit))

    async def _console(self, request: web.Request) -> web.Response:
        file = self._console_log(request.match_info["guest_id"])
        if file is None:
            raise GuestUnknownError("no guest of this ID is held here")
        wanted, after = _number(request, "bytes") or console.MAX_BYTES, _text(request, "after")
        if after and not is_place(after):
            raise InvalidRequestError("after must be the place where an answer ended")
        try:
            if after is None:
                part = ConsolePart(written=await asyncio.to_thread(console.tail, file, max_bytes=wanted))
            else:
                part = await asyncio.to_thread(console.since, file, after, max_bytes=wanted)
        except OSError as error:
            raise InnkeeperError(f"the console's log cannot be read: {error.strerror or error}") from error
        headers = {END_HEADER: part.end} if part.end else {}
        headers |= {LEFT_OUT_HEADER: "true"} if part.is_some_left_out else {}
        return web.Response(body=part.written, content_type="application/octet-stream", headers=headers)

    async def _show_usage(self, _: web.Request) -> web.Response:
        return _json(200, await self._usage())

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_caller(request)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                response = await handler(request)
        except InnkeeperError as error:
            response = _error(_status_of(error), error.reason, error.message)
        except web.HTTPException as error:
            response = _error(error.status, error.reason.replace(" ", ""), error.text or error.reason)
        except TimeoutError:
            response = _error(503, "Busy", f"there was no answer within {ANSWER_WITHIN_S:.0f} s")
        except Exception:
            log.exception("request_broke", path=request.path)
            response = _error(500, "InternalError", "the agent failed; its log says why")
        handler_name = request.match_info.route.name or "none"
        self._figures.api_answers.labels(handler=handler_name, code=str(response.status)).inc()
        return response


def _check_caller(request: web.Request) -> None:
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    parts = (part for each in (certificate or {}).get("subject", ()) for part in each)
    found = [value for kind, value in parts if kind == "commonName"]
    if found != [names.OPERATOR_COMMON_NAME]:
        raise NotAllowedError(f"only a certificate with the common name {names.OPERATOR_COMMON_NAME} may ask")


def _limit(request: web.Request) -> int:
    found = _number(request, "limit")
    return PAGE if not found else min(found, PAGE)


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise InvalidRequestError(f"{name} must be a number of at most {_MAX_DIGITS} digits")
    return int(text)


def _text(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isprintable() and len(text) <= _MAX_TEXT):
        raise InvalidRequestError(f"{name} must be at most {_MAX_TEXT} letters, digits and signs")
    return text


def _status_of(error: InnkeeperError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _json(status: int, answer: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def _error(status: int, reason: str, message: str) -> web.Response:
    response = _json(status, {"reason": reason, "message": message})
    if status == 503:  # noqa: PLR2004 - HTTP's "Service Unavailable"
        response.headers["Retry-After"] = "2"
    return response
