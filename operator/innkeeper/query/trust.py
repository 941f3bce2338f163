"""Which authorities vouch for callers: those of clients, and that of the API server where it passes requests on.

Both come from the ConfigMap that every API server keeps for this, `kube-system/extension-apiserver-authentication`. TLS
has checked chain, dates and purpose of a certificate before; here it is told apart whose it is.
"""

import json
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from innkeeper.errors import TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.resources import CONFIG_MAPS
from innkeeper.x509_errors import UNUSABLE

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"


class NoTrustError(TerminalError):
    """The API server does not say whom to trust."""

    reason = "NoTrust"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Authorities (PEM), and the names that the front proxy's certificate may have; no name means any."""

    clients: str = ""
    front_proxy: str = ""
    front_proxy_names: frozenset[str] = frozenset()

    @classmethod
    async def read(cls, client: Client) -> "Trust":
        """Read what the API server says.

        Raises:
            NoTrustError: it says nothing that can be used.
            ApiError: the API server refused, or is away.
        """
        data = (await client.get(CONFIG_MAPS, NAME, namespace=NAMESPACE)).data
        try:
            names = json.loads(data.get("requestheader-allowed-names") or "[]")
            found = cls(
                clients=data.get("client-ca-file", ""),
                front_proxy=data.get("requestheader-client-ca-file", ""),
                front_proxy_names=frozenset(names),
            )
            found.check()
        except (ValueError, TypeError) as error:
            raise NoTrustError(f"the ConfigMap {NAMESPACE}/{NAME} cannot be used: {error}") from error
        return found

    def check(self) -> None:
        """Read every authority once.

        Raises:
            ValueError: one is no certificate.
        """
        _authorities(self.clients)
        _authorities(self.front_proxy)

    @property
    def authorities(self) -> str:
        """All authorities together, for TLS."""
        return f"{self.clients}\n{self.front_proxy}"

    def is_front_proxy(self, certificate: x509.Certificate) -> bool:
        """Tell whether a caller's certificate is the API server's own, whose word about users counts."""
        named = not self.front_proxy_names or common_name(certificate) in self.front_proxy_names
        return named and _issued(certificate, self.front_proxy)

    def is_client(self, certificate: x509.Certificate) -> bool:
        """Tell whether a caller's certificate names a user."""
        return _issued(certificate, self.clients)


def common_name(certificate: x509.Certificate) -> str:
    """Return the name that a certificate gives its holder: the user's name."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def organizations(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the organisations of a certificate: the user's groups."""
    return tuple(
        str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    )


def _authorities(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode()) if pem.strip() else []


def _issued(certificate: x509.Certificate, pem: str) -> bool:
    """Tell whether one of these authorities issued a certificate itself; intermediate ones are not followed."""
    for authority in _authorities(pem):
        try:
            certificate.verify_directly_issued_by(authority)
        except UNUSABLE:
            continue
        return True
    return False
