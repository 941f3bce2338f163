"""What is shown to one origin and to no other: an Authorization header, and the origin that it is for.

The header goes with a request whose URL has exactly that scheme, host and port, and with none else, wherever a redirect
leads. Its value stands in no message and no representation. Where it comes from is not known here.
"""

from dataclasses import dataclass, field

from yarl import URL

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.source import SourceError


class CredentialsError(SourceError):
    """The Secret that an Image names cannot be used, or the origin does not take what it holds."""

    reason: str = ImageReason.CREDENTIALS_UNUSABLE


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port (RFC 6454), read from URLs by the parser that the connections are made with."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, url: URL) -> "Origin":
        """Return the origin of an absolute URL; a port that is not written is the scheme's own."""
        return cls(url.scheme, (url.raw_host or "").lower(), url.port)


@dataclass(frozen=True)
class Credential:
    """The content of one Secret. `secret` is what messages call it."""

    secret: str
    origin: Origin
    authorization: str = field(repr=False)

    def is_for(self, url: URL) -> bool:
        """Tell whether the header may go with a request for a URL."""
        return Origin.of(url) == self.origin

    def headers(self, url: URL) -> dict[str, str]:
        """Return what a request for a URL carries."""
        return {"Authorization": self.authorization} if self.is_for(url) else {}
