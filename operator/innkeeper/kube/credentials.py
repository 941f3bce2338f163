"""Who we are to the API server, and how we know that it is the API server.

Read from a kubeconfig or from a pod's service account. A token in a file is read again when the file changes, since
such tokens are short-lived. Helper programs (`exec`) are refused: they would run foreign code on every start.
"""

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from innkeeper.errors import TerminalError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_TOKEN_BYTES = 64 * 1024


class CredentialsError(TerminalError):
    """There are no usable credentials; the message says where they were looked for."""

    reason = "NoCredentials"


@dataclass(kw_only=True)
class Credentials:
    """The API server's URL, how to trust it, and our identity."""

    server: str
    ca_data: str | None = None  # PEM
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    client_certificate: str | None = None  # PEM
    client_key: str | None = field(default=None, repr=False)  # PEM
    tls_server_name: str | None = None
    namespace: str = "default"
    _read_at: int = field(default=0, repr=False)

    @classmethod
    def load(cls, kubeconfig: Path | None = None) -> "Credentials":
        """Return the usual credentials: the file named, $KUBECONFIG, the pod's account, ~/.kube/config.

        Raises:
            CredentialsError: none of them is there, or one is not usable.
        """
        if kubeconfig is not None:
            return cls.from_kubeconfig(kubeconfig)
        if named := os.environ.get("KUBECONFIG"):
            return cls.from_kubeconfig(Path(named))
        if (SERVICE_ACCOUNT / "token").exists():
            return cls.in_cluster()
        usual = Path.home() / ".kube" / "config"
        if usual.exists():
            return cls.from_kubeconfig(usual)
        raise CredentialsError("no credentials: name a kubeconfig with --kubeconfig or KUBECONFIG")

    @classmethod
    def in_cluster(cls) -> "Credentials":
        """Return the credentials of this pod's service account."""
        host, port = (
            os.environ.get("KUBERNETES_SERVICE_HOST"),
            os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
        )
        if not host:
            raise CredentialsError("KUBERNETES_SERVICE_HOST is not set: this is no pod")
        address = f"[{host}]" if ":" in host else host
        return cls(
            server=f"https://{address}:{port}",
            ca_data=(SERVICE_ACCOUNT / "ca.crt").read_text(),
            token_file=SERVICE_ACCOUNT / "token",
            namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
        )

    @classmethod
    def from_kubeconfig(cls, path: Path, *, context: str | None = None) -> "Credentials":
        """Return the credentials of one context of a kubeconfig.

        Raises:
            CredentialsError: the file, or something that it names, is missing or not supported.
        """
        try:
            return cls._from_document(yaml.safe_load(path.read_text()), base=path.parent, context=context)
        except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else repr(error)
            raise CredentialsError(f"the kubeconfig {path} cannot be used: {why}") from error

    @classmethod
    def _from_document(cls, document: Any, *, base: Path, context: str | None) -> "Credentials":
        current = _named(document["contexts"], context or document["current-context"])["context"]
        cluster = _named(document["clusters"], current["cluster"])["cluster"]
        user = _named(document["users"], current["user"])["user"]
        if "exec" in user or "auth-provider" in user:
            raise CredentialsError(
                "the kubeconfig runs a helper program (exec); use a token or a certificate"
            )
        if "@" in urlsplit(cluster["server"]).netloc:
            raise CredentialsError(
                "the server's URL in the kubeconfig names a user; use a token or a certificate"
            )
        token_file = user.get("tokenFile")
        return cls(
            server=cluster["server"].rstrip("/"),
            ca_data=_content(cluster, "certificate-authority", base=base),
            tls_server_name=cluster.get("tls-server-name"),
            token=user.get("token"),
            token_file=base / token_file if token_file else None,
            client_certificate=_content(user, "client-certificate", base=base),
            client_key=_content(user, "client-key", base=base),
            namespace=current.get("namespace", "default"),
        )

    def bearer(self) -> str | None:
        """Return the token to present, the newest from its file, or None where a certificate is used."""
        if self.token_file is not None:
            self._read_token(self.token_file)
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise CredentialsError("the token has characters that no header carries", retryable=True)
        return self.token

    def _read_token(self, path: Path) -> None:
        try:
            changed = path.stat().st_mtime_ns
            if changed != self._read_at:
                self.token = path.read_text()[:MAX_TOKEN_BYTES].strip()
                self._read_at = changed
        except (OSError, UnicodeDecodeError) as error:
            if self.token is None:
                raise CredentialsError(f"the token file cannot be read: {error}", retryable=True) from error

    def forget(self) -> None:
        """Read the token's file anew at the next call: the API server did not take the token."""
        self._read_at = 0

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return how to speak TLS with the API server, or None for plain HTTP (tests only)."""
        if urlsplit(self.server).scheme != "https":
            return None
        try:
            return self._trust()
        except (ssl.SSLError, ValueError) as error:
            raise CredentialsError(f"the certificates for {self.server} cannot be used: {error}") from error
        except OSError as error:  # no room for a file, say
            message = f"the certificates for {self.server} cannot be loaded: {error}"
            raise CredentialsError(message, retryable=True) from error

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca_data)
        if self.client_certificate and self.client_key:
            # The ssl module loads certificates from files only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                Path(pair.name).chmod(0o600)
                pair.write(f"{self.client_certificate}\n{self.client_key}\n")
                pair.flush()
                context.load_cert_chain(pair.name)
        return context


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _content(holder: dict[str, Any], key: str, *, base: Path) -> str | None:
    data: str | None = holder.get(f"{key}-data")
    if data:
        return base64.b64decode(data).decode()
    path: str | None = holder.get(key)
    return (base / path).read_text() if path else None
