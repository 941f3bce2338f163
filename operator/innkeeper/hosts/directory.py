"""Where each host's agent is reached: what the agent reports, else what the hosts file says.

The file is for the day on which no API server knows the hosts. It is read again when it changes; one that cannot be read
leaves what was known. An address is only where to dial: who answers there shows it by certificate.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from innkeeper.domain.names import MAX_HOST_NAME
from innkeeper.errors import TerminalError

log = structlog.get_logger(__name__)

MAX_FILE_BYTES = 256 * 1024**2
MAX_PORT = 65535


class HostsFileError(TerminalError):
    """The hosts file cannot be read, or is none."""

    reason = "HostsFileInvalid"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=MAX_HOST_NAME)]
    address: Annotated[str, Meta(min_length=1, max_length=300)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hosts: list[_Entry]


def host_and_port(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is not of that form.
    """
    host, separator, port = address.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT)) else 0
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not 0 < number <= MAX_PORT or set(host) & set("/@?#[] "):
        raise ValueError(
            f"{address[:80]!r} is no address: write host:port, as 10.0.0.1:9104 or [2001:db8::1]:9104"
        )
    return host, number


def read_hosts_file(path: Path) -> dict[str, str]:
    """Return the addresses that a hosts file names, by host.

    Raises:
        HostsFileError: it cannot be read; the message says what a good one looks like.
    """
    try:
        found = msgspec.yaml.decode(_content(path), type=_File)
        for each in found.hosts:
            host_and_port(each.address)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise HostsFileError(
            f"the hosts file {path} cannot be used: {str(error)[:200]}; it looks like "
            'hosts: [{name: host-a, address: "10.0.0.1:9104"}]'
        ) from error
    return {each.name: each.address for each in found.hosts}


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return path.read_bytes()


class HostDirectory:
    """Looks addresses up. `reported` tells what a host's agent reports."""

    def __init__(self, reported: Callable[[str], str | None], *, file: Path | None = None) -> None:
        self._reported = reported
        self._file = file
        self._read_at: int | None = None
        self._listed: dict[str, str] = {}

    def address_of(self, host: str) -> str | None:
        """Return where a host's agent answers, or None where nobody knows."""
        return self._reported(host) or self._listed.get(host)

    def listed(self) -> frozenset[str]:
        """Return the hosts that the file names."""
        return frozenset(self._listed)

    def read(self) -> None:
        """Read the file where it has changed; what is wrong with it is logged."""
        if self._file is None:
            return
        try:
            changed_at = self._file.stat().st_mtime_ns
            if changed_at == self._read_at:
                return
            self._listed, self._read_at = read_hosts_file(self._file), changed_at
        except (HostsFileError, OSError) as error:
            log.warning("hosts_file_not_read", message=str(error))
