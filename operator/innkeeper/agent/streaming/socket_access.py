"""Who may read images on their way: root and the group that QEMU runs in, by the rights of the NBD socket.

libvirt's packages make a group for QEMU: `libvirt-qemu` on Debian and Ubuntu, `qemu` on Fedora. Its user's primary group
is often `kvm`, in which people are; so it is not asked for.
"""

import grp
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from innkeeper.errors import TerminalError

log = structlog.get_logger(__name__)

USUAL_GROUPS = ("libvirt-qemu", "qemu")


class QemuGroupError(TerminalError):
    """The group that QEMU shall run in cannot be used."""

    reason = "QemuGroupInvalid"


@dataclass(frozen=True)
class SocketAccess:
    """The group that may enter a socket beside its owner; without one the owner alone may."""

    gid: int | None = None

    def give(self, socket: Path) -> None:
        """Set the rights of a socket on which nobody listens yet.

        Raises:
            QemuGroupError: this process may not give it to the group.
        """
        if self.gid is not None:
            try:
                os.chown(socket, -1, self.gid)
            except OSError as error:
                raise QemuGroupError(
                    f"the socket of images cannot be given to QEMU's group: {error.strerror}"
                ) from error
        socket.chmod(0o600 if self.gid is None else 0o660)


def qemu_access(name: str | None, *, usual: Sequence[str] = USUAL_GROUPS) -> SocketAccess:
    """Return the access of QEMU's group: the named one, else the usual one where there is one and this is root.

    Raises:
        QemuGroupError: there is no group of that name.
    """
    if name is not None:
        gid = _gid(name)
        if gid is None:
            raise QemuGroupError(
                f"there is no group {name!r} on this host: --qemu-group names the one that QEMU runs in"
            )
        return SocketAccess(gid)
    known = [gid for gid in map(_gid, usual) if gid is not None]
    if os.geteuid() == 0 and known:
        return SocketAccess(known[0])
    log.warning(
        "nbd_socket_private",
        message="only this process's own user may read images on their way: name QEMU's group with --qemu-group",
    )
    return SocketAccess()


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
