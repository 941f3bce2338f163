"""A small API server for tests: real versions, history and watches; faults on demand; a log of all calls.

It runs in the test's own event loop on a free port of the loopback interface. It knows Innkeeper's kinds from `crds/`
(scope, status, defaults, pruning) but refuses nothing by schema or policy: that is tested on a real API server.

    async with FakeApi() as api:
        async with Client(api.credentials()) as client:
            ...
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import Resource
from kit import ports
from tests.kit.fake_api_documents import RefusedError, selector
from tests.kit.fake_api_faults import Call, CutError, Fault, Faults, Hook
from tests.kit.fake_api_kinds import Document, Kind
from tests.kit.fake_api_routes import Routes
from tests.kit.fake_api_store import Store

__all__ = ["ADMIN", "Call", "CutError", "Document", "FakeApi", "Fault", "RefusedError"]

ADMIN = "system:admin"


class FakeApi:
    """One API server. `store` holds the objects, `faults` what goes wrong, `calls` what was asked.

    `on_write(call, moment)` is called (and awaited) before and after each write is carried out, with `moment` "before" or
    "after"; where it raises CutError, the connection is cut and, before the write, nothing is written.
    """

    def __init__(
        self,
        *,
        namespaces: Iterable[str] = ("default", "kube-system", "innkeeper-system"),
        history: int = 10_000,
        bookmark_s: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = Store(history=history, namespaces=namespaces, now=now)
        self.faults = Faults()
        self.calls: list[Call] = []
        self.on_write: Hook | None = None
        self.allows: Callable[[Mapping[str, Any]], bool] = lambda _review: True
        self.bookmark_s = bookmark_s
        self._tokens = {"admin": ADMIN}
        (self._port,) = ports.choose(1, address="127.0.0.1")  # nobody else takes it while it is down
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    async def up(self) -> None:
        """Serve; after `down` at the same port, with the same objects and no history."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        Routes(self).add_to(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()

    async def down(self) -> None:
        """Stop serving: connections are refused until `up`."""
        self.faults.drop_watch()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.store.forget_history()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    # Identities

    def credentials(self, user: str = ADMIN, *, namespace: str = "default") -> Credentials:
        """Return credentials of a user; the log tells users apart."""
        token = "admin" if user == ADMIN else self.new_token(user)
        return Credentials(server=self.url, token=token, namespace=namespace)

    def new_token(self, user: str) -> str:
        """Return a new token for a user."""
        token = f"token-{len(self._tokens)}"
        self._tokens[token] = user
        return token

    def revoke(self, token: str) -> None:
        """Make a token worthless: 401."""
        self._tokens.pop(token, None)

    def user_of(self, token: str) -> str | None:
        """Return whom a token names."""
        return self._tokens.get(token)

    def may(self, review: Mapping[str, Any]) -> bool:
        """Answer a SubjectAccessReview, as the test set `allows`."""
        return self.allows(review)

    # What a test asks and does past HTTP

    def objects(self, resource: Resource[Any], *, namespace: str | None = None) -> list[Document]:
        """Return all objects of a kind as they are now."""
        return self.store.selected(self._kind(resource), namespace=namespace, matches=selector(None))

    def get(self, resource: Resource[Any], name: str, *, namespace: str = "") -> Document | None:
        """Return one object as it is now, or None."""
        return self.store.of(self._kind(resource)).get((namespace, name))

    def create(self, resource: Resource[Any], body: Document, *, namespace: str = "") -> Document:
        """Create an object, its status included: a scene's beginning."""
        kind = self._kind(resource)
        created = self.store.create(kind, body, namespace=namespace)
        if kind.has_status and "status" in body:
            key = (namespace, created["metadata"]["name"])
            return self.store.patch(kind, key, {"status": body["status"]}, subresource="status")
        return created

    def patch(
        self,
        resource: Resource[Any],
        name: str,
        change: Document,
        *,
        namespace: str = "",
        subresource: str = "",
    ) -> Document:
        """Change an object as somebody else would."""
        return self.store.patch(self._kind(resource), (namespace, name), change, subresource=subresource)

    def delete(self, resource: Resource[Any], name: str, *, namespace: str = "") -> Document:
        """Delete an object as somebody else would."""
        return self.store.delete(self._kind(resource), (namespace, name))

    def called(self, pattern: str = "*", *, user: str | None = None) -> list[Call]:
        """Return the calls that match, in order."""
        return [each for each in self.calls if each.matches(pattern) and user in (None, each.user)]

    def writes(self, pattern: str = "*", *, user: str | None = None) -> list[Call]:
        """Return the writes that match and succeeded, in order."""
        return [
            each for each in self.called(pattern, user=user) if each.is_write and 200 <= each.status < 300
        ]

    def _kind(self, resource: Resource[Any]) -> Kind:
        return self.store.kinds[(resource.group, resource.version, resource.plural)]
