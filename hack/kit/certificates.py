"""Certificates of one trial, made with the openssl command.

An authority signs servers' and clients' alike. Keys are P-256, readable by their owner only. What is
there already is kept, so that a control plane that starts again still knows its clients.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import steps

DAYS = "3650"
_SETTINGS = "[req]\ndistinguished_name = name\nprompt = no\n[name]\n"
_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """One authority of a trial, with the directory of everything that it signed."""

    directory: Path
    name: str = "innkeeper-trial-ca"

    @property
    def own(self) -> Pair:
        """The authority's own certificate and key."""
        return self.pair("ca")

    def pair(self, name: str) -> Pair:
        """Return where the certificate and key called `name` lie, there or not."""
        return Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    def ensure(self) -> None:
        """Make the directory and the authority unless they are there."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.own.certificate.exists():
            return
        # Strict verifiers, such as Python 3.13's, want the key identifiers too.
        rights = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        extensions = [*rights, "subjectKeyIdentifier=hash"]
        self._request("ca", subject=f"/CN={self.name}", extensions=extensions, signed=False)

    def ensure_client(self, name: str, *, user: str, group: str | None = None) -> Pair:
        """Return a certificate for a client that the API server or etcd knows as `user`."""
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        if not self.pair(name).certificate.exists():
            extensions = ["extendedKeyUsage=clientAuth", f"subjectAltName=DNS:{name}"]
            self._request(name, subject=subject, extensions=extensions)
        return self.pair(name)

    def issue_server(self, name: str, *, alternative_names: Sequence[str]) -> Pair:
        """Make a server's certificate for these names and addresses, anew each time since they may differ."""
        names = ",".join(_typed(each) for each in dict.fromkeys(alternative_names))
        extensions = ["extendedKeyUsage=serverAuth", f"subjectAltName={names}"]
        self._request(name, subject=f"/CN={name}", extensions=extensions)
        return self.pair(name)

    def ensure_signing_key(self, name: str) -> None:
        """Make a key that signs tokens, and the public half for those who verify them, unless it is there."""
        key, public = self.pair(name).key, self.public_key(name)
        if public.exists():
            return
        command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl([*command, "-out", str(key)], doing="making the key that signs tokens")
        command = ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)]
        _openssl(command, doing="writing its public half")

    def public_key(self, name: str) -> Path:
        """Return where the public half of a signing key lies."""
        return self.directory / f"{name}.pub"

    def _request(self, name: str, *, subject: str, extensions: Sequence[str], signed: bool = True) -> None:
        settings = self.directory / "openssl.cnf"
        settings.write_text(_SETTINGS)
        command = ["openssl", "req", "-x509", "-config", str(settings), *_NEW_KEY]
        command += ["-subj", subject, "-days", DAYS]
        for extension in extensions:
            command += ["-addext", extension]
        if signed:
            command += ["-CA", str(self.own.certificate), "-CAkey", str(self.own.key)]
            command += ["-addext", "authorityKeyIdentifier=keyid"]
        # Made beside and moved into place, the certificate last: its presence means that both are whole.
        new = self.pair(f"{name}.new")
        command += ["-out", str(new.certificate), "-keyout", str(new.key)]
        _openssl(command, doing=f"making the certificate {name}")
        new.key.replace(self.pair(name).key)
        new.certificate.replace(self.pair(name).certificate)


def _openssl(command: list[str], *, doing: str) -> None:
    before = os.umask(0o077)
    try:
        steps.run(command, doing=doing)
    finally:
        os.umask(before)


def _typed(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return f"DNS:{name}"
    return f"IP:{name}"
