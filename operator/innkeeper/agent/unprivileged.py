"""The user that QEMU's tools run as: one with no rights, looked up once when the agent starts.

A tool that a file drives mad then reaches that one file and what everybody may read. An agent that is not root cannot
become somebody else: its tools run as itself. Nothing is run here.
"""

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass

from innkeeper.errors import TerminalError


class ToolsUserError(TerminalError):
    """The user that tools shall run as cannot be used."""

    reason = "ToolsUserInvalid"


@dataclass(frozen=True)
class ToolsUser:
    """A user and its own group, as numbers: no database of users is asked later."""

    uid: int
    gid: int


def tools_user(name: str) -> ToolsUser | None:
    """Return the user of that name, or None where this process is not root and stays who it is.

    Raises:
        ToolsUserError: there is no such user, or it is root.
    """
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise ToolsUserError(
            f"there is no user {name!r} on this host: make it, or name another one with --tools-user"
        ) from error
    if found.pw_uid == 0:
        raise ToolsUserError("QEMU's tools must not run as root: name another user with --tools-user")
    return ToolsUser(found.pw_uid, found.pw_gid)


def start_as(user: ToolsUser | None) -> Sequence[str]:
    """Return what starts a program as that user, or as itself: without other groups, never with more rights again.

    It is setpriv(1), of util-linux.
    """
    become = () if user is None else (f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    return ("setpriv", *become, "--no-new-privs")
