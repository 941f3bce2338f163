"""The HTTP face of the image server: routes, who may call them, and errors as JSON.

    POST /v1/inspect                            the operator: what is this image?
    POST /v1/urls                               a host's agent: a URL for the image of one of its guests
    GET  /v1/blobs/<namespace>/<name>/<digest>  who holds a signed URL: the bytes
    GET  /v1/packed/...?bytes=<from>-<to>       the same: these bytes, or all, as one zstd frame
    GET  /v1/manifests/...                      the same: the manifest of these bytes
    GET  /v1/profiles/...                       the same: what guests read first of them; PUT adds to it

Every error's body is `{"reason": ..., "message": ...}`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from innkeeper.domain.images.profile import ProfileInvalidError
from innkeeper.domain.orders import OrderInvalidError
from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import InnkeeperError
from innkeeper.images.access import Access, NothingThereError
from innkeeper.images.answers import ErrorAnswer, InspectRequest, UrlAnswer, UrlRequest
from innkeeper.images.beside import Beside
from innkeeper.images.blobs import Blobs
from innkeeper.images.callers import Callers, NotAllowedError, UnauthenticatedError, host_of_agent
from innkeeper.images.contents import BusyError
from innkeeper.images.figures import Figures
from innkeeper.images.inspection import Inspector
from innkeeper.images.signing import UrlSigner
from innkeeper.images.sources.source import SourceError

log = structlog.get_logger(__name__)

MAX_BODY = 256 * 1024
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class InvalidRequestError(InnkeeperError):
    """The body is not what this endpoint takes."""

    reason = "InvalidRequest"
    retryable = False


_STATUS: tuple[tuple[type[InnkeeperError], int], ...] = (
    (UnauthenticatedError, 401),
    (NotAllowedError, 403),
    (NothingThereError, 404),
    (InvalidRequestError, 422),
    (ProfileInvalidError, 422),
    (OrderInvalidError, 409),
    (BusyError, 503),
    (SourceError, 502),
)


class ImageServer:
    """The endpoints."""

    def __init__(
        self,
        *,
        callers: Callers,
        operator: str,
        inspector: Inspector,
        access: Access,
        signer: UrlSigner,
        blobs: Blobs,
        beside: Beside,
        figures: Figures,
    ) -> None:
        self._callers = callers
        self._operator = operator
        self._inspector = inspector
        self._access = access
        self._signer = signer
        self._blobs = blobs
        self._beside = beside
        self._figures = figures

    def application(self) -> web.Application:
        """Return the application, ready to be run."""
        application = web.Application(client_max_size=MAX_BODY, middlewares=[self._answer_errors])
        application.router.add_post("/v1/inspect", self._inspect, name="inspect")
        application.router.add_post("/v1/urls", self._urls, name="urls")
        image = "{namespace}/{name}/{digest}"
        application.router.add_get(f"/v1/blobs/{image}", self._blobs.handle, name="blobs")
        if self._signer.offers_packed:
            application.router.add_get(f"/v1/packed/{image}", self._blobs.packed, name="packed")
        application.router.add_get(f"/v1/manifests/{image}", self._beside.manifest, name="manifests")
        application.router.add_get(f"/v1/profiles/{image}", self._beside.profile, name="profiles")
        application.router.add_put(f"/v1/profiles/{image}", self._beside.learn, name="profiles-put")
        return application

    async def _inspect(self, request: web.Request) -> web.Response:
        user = await self._callers.user_of(request.headers.get("Authorization"))
        if user != self._operator:
            raise NotAllowedError("only the operator may ask for an inspection")
        return _json(200, await self._inspector.ask(await _body(request, InspectRequest)))

    async def _urls(self, request: web.Request) -> web.Response:
        host = host_of_agent(await self._callers.user_of(request.headers.get("Authorization")))
        question = await _body(request, UrlRequest)
        blob = await self._access.image_of_guest(host, question.guest_id)
        signed = self._signer.sign(blob)
        log.info("url_given", host=host, guest_id=question.guest_id, image=f"{blob.namespace}/{blob.name}")
        answer = UrlAnswer(
            url=signed.url,
            expires_at=signed.expires_at,
            packed_url=signed.packed_url,
            manifest_url=signed.manifest_url,
            profile_url=signed.profile_url,
        )
        return _json(200, answer)

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except InnkeeperError as error:
            response = _error(_status_of(error), error.reason, error.message)
        except web.HTTPException as error:
            response = _error(error.status, error.reason.replace(" ", ""), error.text or error.reason)
        except ConnectionResetError:
            raise  # the reader went away; there is nobody to answer
        except Exception:
            log.exception("request_broke", path=request.path)
            response = _error(500, "InternalError", "the image server failed; its log says why")
        if response.status == 503:  # noqa: PLR2004 - HTTP's "Service Unavailable"
            response.headers["Retry-After"] = "2"
        handler_name = request.match_info.route.name or "none"
        self._figures.requests.labels(handler=handler_name, code=str(response.status)).inc()
        return response


async def _body(request: web.Request, form: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=form)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidRequestError(f"the request cannot be read: {error}") from error


def _status_of(error: InnkeeperError) -> int:
    if error.reason == ImageReason.NOT_FOUND:
        return 404
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 503  # whatever else goes wrong lies between this server and the API server


def _json(status: int, answer: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def _error(status: int, reason: str, message: str) -> web.Response:
    return _json(status, ErrorAnswer(reason=reason, message=message))
