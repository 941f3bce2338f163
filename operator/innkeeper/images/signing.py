"""URLs that are valid for minutes, for one image and one digest.

The signature is an HMAC-SHA256 over exactly what the URL names and until when; it needs no memory, so any image
server that holds the same key accepts it. The key never leaves the process.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from innkeeper.clock import Clock, rfc3339

MIN_KEY_BYTES = 32
MAX_KEY_BYTES = 4096
_PREFIX = "innkeeper.dev/blob/v1"
_EXPIRES = re.compile(r"\d{1,12}")


@dataclass(frozen=True)
class BlobName:
    """What a URL gives access to."""

    namespace: str
    name: str
    digest: str


@dataclass(frozen=True)
class SignedUrl:
    """The URL of the bytes, of the bytes packed, of their manifest and of their boot profile, and when all end."""

    url: str
    packed_url: str | None
    manifest_url: str
    profile_url: str
    expires_at: str


class UrlSigner:
    """Makes and checks signed URLs below `base_url`."""

    def __init__(
        self, key: bytes, *, base_url: str, clock: Clock, lifetime_s: int = 900, offer_packed: bool = True
    ) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the URL key has {len(key)} bytes; it needs at least {MIN_KEY_BYTES}")
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._lifetime = timedelta(seconds=lifetime_s)
        self.offers_packed = offer_packed

    def sign(self, blob: BlobName) -> SignedUrl:
        """Return a URL for `blob` that is valid from now on for the lifetime."""
        end = self._clock.now() + self._lifetime
        expires = str(int(end.timestamp()))
        query = urlencode({"expires": expires, "signature": self._signature(blob, expires)})
        path = "/".join(quote(part, safe=":") for part in (blob.namespace, blob.name, blob.digest))
        return SignedUrl(
            f"{self._base_url}/v1/blobs/{path}?{query}",
            f"{self._base_url}/v1/packed/{path}?{query}" if self.offers_packed else None,
            f"{self._base_url}/v1/manifests/{path}?{query}",
            f"{self._base_url}/v1/profiles/{path}?{query}",
            rfc3339(datetime.fromtimestamp(int(expires), UTC)),
        )

    def valid(self, blob: BlobName, *, expires: str, signature: str) -> bool:
        """Tell whether this key signed exactly this and its time has not come."""
        if not _EXPIRES.fullmatch(expires):
            return False
        expected = self._signature(blob, expires).encode()
        genuine = hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
        return genuine and int(expires) > self._clock.now().timestamp()

    def _signature(self, blob: BlobName, expires: str) -> str:
        # No part can hold a line feed: names and digests are checked where they enter, and a line feed in a
        # part of a request's path would only make a text that nobody signed.
        text = f"{_PREFIX}\n{blob.namespace}\n{blob.name}\n{blob.digest}\n{expires}"
        mac = hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def load_key(path: Path | None) -> bytes:
    """Return the key in the file, or a new random one that dies with the process.

    Raises:
        ValueError: the file is too short or too long to be a key.
    """
    if path is None:
        return secrets.token_bytes(MIN_KEY_BYTES)
    with path.open("rb") as file:
        key = file.read(MAX_KEY_BYTES + 1)
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(
            f"the URL key file {path} must hold {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes of randomness"
        )
    return key
