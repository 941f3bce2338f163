"""Where the next token of a host comes from: its own right to renew it, or the token of its pod."""

from typing import Protocol

from innkeeper.domain import names
from innkeeper.kube import tokens
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.tokens import BoundTo, Token

# Long, so that hosts outlive a long absence of the API server; deleting the Secret ends it at once. The most that the
# admission policy allows.
OWN_LIFETIME_S = 30 * 24 * 3600
NODE_LIFETIME_S = 3600
JOIN_SECRET = BoundTo("Secret", names.AGENT_JOIN_SECRET)


class TokenSource(Protocol):
    """Gives tokens of one host."""

    @property
    def when_over(self) -> str:
        """What a person has to do once the token is over, and none can be had."""
        ...

    async def ask(self) -> Token:
        """Return a new token.

        Raises:
            InnkeeperError: none can be had now.
        """
        ...


class OwnRight:
    """The host's own token is the right to the next one."""

    when_over = "make a join token (kubectl guest join-token HOST) and run: innkeeper agent join --replace"

    def __init__(self, client: Client, *, host: str) -> None:
        self._client = client
        self._host = host

    async def ask(self) -> Token:
        """Return a new token, bound to the same Secret."""
        return await tokens.ask(
            self._client, host=self._host, bound_to=JOIN_SECRET, lifetime_s=OWN_LIFETIME_S
        )


class PodToken:
    """The token of the agent's pod, which its node's kubelet renews, is exchanged for the host's."""

    when_over = "look whether the Host exists under the name of the node, and whether the pod's token is good"

    def __init__(self, client: Client, *, node: str) -> None:
        self._client = client
        self._node = node

    async def ask(self) -> Token:
        """Return a new token, bound to the node."""
        try:
            return await tokens.ask(
                self._client,
                host=self._node,
                bound_to=BoundTo("Node", self._node),
                lifetime_s=NODE_LIFETIME_S,
            )
        except NotFoundError as error:
            message = (
                f"there is no identity for this host yet; is there a Host {self._node!r}? ({error.message})"
            )
            raise NotFoundError(message, status=error.status) from error
