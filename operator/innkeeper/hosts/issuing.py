"""Certificates of hosts for their host API: signed by the operator where it holds the key of the hosts' authority.

A host asks in the status of its HostAgent. Only its public key is taken from what it asks; that the request names this
host and nothing else is checked all the same, since one that does not is somebody's mistake, or their attempt.
"""

from datetime import timedelta
from pathlib import Path
from typing import Self

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import names
from innkeeper.errors import TerminalError
from innkeeper.views.host import HostAgent
from innkeeper.x509_errors import UNUSABLE

log = structlog.get_logger(__name__)

LIFETIME = timedelta(days=30)
MAX_REQUEST = 4096  # characters
_SIGNED_AGAIN_AFTER = 0.5  # of its life, and only when the host asks
_CLOCKS_DIFFER = timedelta(minutes=5)
_SHORTEST = timedelta(hours=1)  # what ends sooner would be signed again at every look


class AuthorityError(TerminalError):
    """The hosts' authority and its key cannot sign."""

    reason = "HostsAuthorityInvalid"


class RefusedRequestError(TerminalError):
    """A host asked for what it must not have; the message says what."""

    reason = "CertificateRefused"


class HostCertificates:
    """Signs for hosts."""

    def __init__(
        self, authority: x509.Certificate, key: CertificateIssuerPrivateKeyTypes, *, clock: Clock
    ) -> None:
        self._authority = authority
        self._key = key
        self._clock = clock
        self._refused: dict[str, str] = {}
        self._is_told_over = False

    @classmethod
    def load(cls, *, authority: Path, key: Path, clock: Clock) -> Self:
        """Read the authority's certificate and key.

        Raises:
            AuthorityError: one cannot be read, is of a kind that does not sign, or they do not belong together.
        """
        try:
            certificate = x509.load_pem_x509_certificate(authority.read_bytes())
            private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityError(f"{authority} and {key} cannot be read: {error}") from error
        if not isinstance(
            private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
        ):
            raise AuthorityError(f"the key {key} is of a kind that signs no certificates")
        if private.public_key() != certificate.public_key():
            raise AuthorityError(f"{key} is not the key of {authority}")
        return cls(certificate, private, clock=clock)

    def current(self, host: str, agent: HostAgent | None) -> str | None:
        """Return the certificate (PEM) that the host should have: the one that it has, or a new one if it asks."""
        held = agent.spec.certificate if agent is not None else None
        asked = agent.status.certificate_request if agent is not None else None
        if asked is None:
            return held
        try:
            key = requested_key(asked, host)
        except RefusedRequestError as error:
            if self._refused.get(host) != asked:
                self._refused[host] = asked
                log.warning("certificate_refused", host=host, reason=error.reason, message=error.message)
            return held
        self._refused.pop(host, None)
        if held is not None and self._is_good(held, key):
            return held
        if self._is_over():
            return held
        log.info("certificate_signed", host=host)
        return self._sign(host, key)

    def _is_over(self) -> bool:
        """Tell whether the authority signs no more: it ends, or has; a host's other orders do not wait for a new one."""
        ended = self._authority.not_valid_after_utc
        if self._clock.now() + _SHORTEST < ended:
            return False
        if not self._is_told_over:
            self._is_told_over = True
            message = "no host gets a certificate before the operator has a new hosts' authority"
            log.error("hosts_authority_over", ends=rfc3339(ended), message=message)
        return True

    def _is_good(self, held: str, key: ec.EllipticCurvePublicKey) -> bool:
        try:
            found = x509.load_pem_x509_certificate(held.encode())
            found.verify_directly_issued_by(self._authority)
            named = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        except (*UNUSABLE, x509.ExtensionNotFound):
            return False
        if named != _identifier(self._authority):
            return False
        life = found.not_valid_after_utc - found.not_valid_before_utc
        old = found.not_valid_before_utc + life * _SIGNED_AGAIN_AFTER
        return found.public_key() == key and self._clock.now() < old

    def _sign(self, host: str, key: ec.EllipticCurvePublicKey) -> str:
        now = self._clock.now()
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject_of(host))
            .issuer_name(self._authority.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCKS_DIFFER)
            .not_valid_after(min(now + LIFETIME, self._authority.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            # It serves, and never asks: it is worth nothing to who would call a host with it.
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_identifier(self._authority), critical=False)
        )
        algorithm = None if isinstance(self._key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(self._key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def _identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return what names the authority's key in what it signs: as it names itself.

    There are several ways to make that name of a key; Helm's is another than ours since Go 1.25. Where the two differ,
    OpenSSL takes the authority for somebody else's.
    """
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = authority.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)  # type: ignore[arg-type] # the key's kind was checked
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def subject_of(host: str) -> x509.Name:
    """Return the subject of a host's certificate."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])


def requested_key(text: str, host: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a request is for.

    Raises:
        RefusedRequestError: it is none, names another than this host, or asks for more than the name.
    """
    if host == names.OPERATOR_COMMON_NAME:
        raise RefusedRequestError(f"a host named {host} gets no certificate: it is the operator's own name")
    if len(text) > MAX_REQUEST:
        raise RefusedRequestError(f"the request has more than {MAX_REQUEST} characters")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        signed, subject, key = request.is_signature_valid, request.subject, request.public_key()
        asked = [each.value for each in request.extensions]
    except UNUSABLE as error:
        raise RefusedRequestError("this is no certificate request (PKCS #10, PEM)") from error
    if not signed:
        raise RefusedRequestError("the request is not signed by its own key")
    if subject != subject_of(host):
        raise RefusedRequestError(f"the request names {subject.rfc4514_string()[:100]}, and not CN={host}")
    if asked != [x509.SubjectAlternativeName([x509.DNSName(host)])]:
        raise RefusedRequestError(f"the request asks for more, or for less, than the name {host}")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RefusedRequestError("the key is not of the curve P-256")
    return key
