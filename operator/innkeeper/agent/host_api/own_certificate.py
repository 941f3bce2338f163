"""The host API's certificate where the operator signs it: the key is made here and never leaves this host.

While a certificate is wanted, a request for it stands in the status of the HostAgent; what the operator signed comes in
its spec. What comes is used only if it is for this key, in this host's name, and of the authority that this host pins.
"""

from collections.abc import Callable
from datetime import datetime

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from innkeeper.agent.host_api.certificates import TlsFiles
from innkeeper.agent.joining import files as private_files
from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.x509_errors import UNUSABLE

log = structlog.get_logger(__name__)

RENEWED_AFTER = 2 / 3  # of its life
LOOK_EVERY_S = 60.0
_MAX_BYTES = 64 * 1024


class NoCertificate:
    """In its place where a person gives the certificate, or nobody does."""

    def request(self) -> str | None:
        """Return None: nothing is wanted."""
        return None

    def take(self, pem: str | None) -> None:
        """Leave what the operator signed, for an earlier life of this host."""

    async def run(self, on_change: Callable[[], None]) -> None:
        """Do nothing, and end."""


class OwnCertificate:
    """Keeps a certificate in the files that the host API reads."""

    def __init__(self, host: str, files: TlsFiles, *, clock: Clock) -> None:
        self._host = host
        self._files = files
        self._clock = clock
        self._asked: str | None = None
        self._asked_for: ec.EllipticCurvePublicKey | None = None
        self._offered: str | None = None
        self._ignored: tuple[str, str] | None = None  # what was offered last, and why it was not taken

    def request(self) -> str | None:
        """Return the request (PEM) while a certificate is wanted; the same one until it is answered."""
        return self._asked

    def take(self, pem: str | None) -> None:
        """Take what the operator signed, if it is good for this host and newer than what is here.

        What is no good is kept in mind: it may become good, as when a person puts the new authority there.
        """
        self._offered = pem
        if pem is None or self._asked is None:
            return
        why = self._why_useless(pem)
        if why is not None:
            if (pem, why) != self._ignored:
                self._ignored = pem, why
                log.info("certificate_not_taken", why=why)
            return
        try:
            private_files.write_private(self._files.certificate, pem)
        except InnkeeperError as error:
            log.warning("certificate_not_kept", message=error.message)
            return
        self._asked = None
        log.info("certificate_taken")

    async def run(self, on_change: Callable[[], None]) -> None:
        """Look for ever whether a certificate is wanted, and tell when that changed."""
        while True:
            before = self._asked
            try:
                self.look()
            except (InnkeeperError, OSError, ValueError) as error:
                log.warning("certificate_not_looked_at", message=str(error))
            if self._asked != before:
                on_change()
            await self._clock.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Find out whether a certificate is wanted, and whether what was offered before is good by now.

        Raises:
            InnkeeperError: the key cannot be kept.
            OSError: a file cannot be read.
        """
        key = self._key()
        if self._is_good(key):
            self._asked = None
        elif self._asked is None or self._asked_for != key.public_key():
            self._asked, self._asked_for = _request(self._host, key), key.public_key()
        else:
            self.take(self._offered)

    def _is_good(self, key: ec.EllipticCurvePrivateKey) -> bool:
        try:
            pem = self._files.certificate.read_bytes()[:_MAX_BYTES].decode()
        except (FileNotFoundError, ValueError):
            return False
        return self._why_useless(pem, key) is None

    def _why_useless(self, pem: str, key: ec.EllipticCurvePrivateKey | None = None) -> str | None:
        try:
            own = (key or self._key()).public_key()
            found = x509.load_pem_x509_certificate(pem.encode())
            authorities = x509.load_pem_x509_certificates(self._files.authority.read_bytes()[:_MAX_BYTES])
            alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            its_key = found.public_key()
        except (OSError, InnkeeperError, *UNUSABLE) as error:
            return f"it cannot be read: {error}"
        if its_key != own:
            return "it is for another key"
        if alternative.get_values_for_type(x509.DNSName) != [self._host]:
            return "it names another host"
        if not any(_issued(found, by=each) for each in authorities):
            return f"it is not of the authority in {self._files.authority}, or names it otherwise"
        if self._clock.now() >= _old_at(found):
            return "it is old"
        return None

    def _key(self) -> ec.EllipticCurvePrivateKey:
        try:
            found = serialization.load_pem_private_key(
                self._files.key.read_bytes()[:_MAX_BYTES], password=None
            )
            if isinstance(found, ec.EllipticCurvePrivateKey):
                return found
        except (FileNotFoundError, ValueError, TypeError):
            pass
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        private_files.write_private(self._files.key, text.decode())
        return key


def _request(host: str, key: ec.EllipticCurvePrivateKey) -> str:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def _issued(certificate: x509.Certificate, *, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except UNUSABLE:
        return False
    return _names(certificate, by)


def _names(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Tell whether a certificate names its authority as it names itself: callers use OpenSSL, which goes by that.

    Operators of before named every authority in one way, which is not that of all.
    """
    try:
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return True
    except UNUSABLE:
        return False
    return named.key_identifier in (None, own.digest)


def _old_at(certificate: x509.Certificate) -> datetime:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEWED_AFTER
