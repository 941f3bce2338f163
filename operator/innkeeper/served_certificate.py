"""The certificate that a server shows, read again when its files change: who renews it need not restart the server.

It belongs to one TLS context, which it changes in place: connections that are open keep what they began with. It knows
neither what is served nor who looks at the files; both are handed in.
"""

import ssl
from pathlib import Path

import structlog

from innkeeper.clock import Clock

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 60.0

_Seen = tuple[tuple[int, int, int], ...]


class ServedCertificate:
    """One certificate, its key, and the context that they are loaded into."""

    def __init__(self, context: ssl.SSLContext, *, certificate: Path, key: Path) -> None:
        self._context = context
        self._files = (certificate, key)
        self._seen: _Seen | None = None

    def load(self) -> bool:
        """Read the files if they changed; return whether they did.

        Raises:
            OSError: they cannot be read, or do not belong together (`ssl.SSLError`); what was loaded stays in use.
        """
        found = [each.stat() for each in self._files]
        seen = tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)
        if seen == self._seen:
            return False
        # Tried apart first: files that are half replaced would leave the context with a certificate and no key.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*self._files, password="")
        self._context.load_cert_chain(*self._files, password="")
        self._seen = seen
        return True

    def look(self) -> None:
        """Do the same where nobody waits for an answer: what cannot be used is told in the log."""
        try:
            changed = self.load()
        except OSError as error:
            log.warning("certificate_not_read", file=str(self._files[0]), message=str(error))
            return
        if changed:
            log.info("certificate_read", file=str(self._files[0]))

    async def follow(self, clock: Clock) -> None:
        """Look again for ever."""
        while True:
            await clock.sleep(LOOK_EVERY_S)
            self.look()
