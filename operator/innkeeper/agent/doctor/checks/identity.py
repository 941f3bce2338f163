"""Who this machine is to the API server: its files, its token, and what the API server says to it."""

import stat
from pathlib import Path

from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine
from innkeeper.clock import rfc3339
from innkeeper.kube.errors import ForbiddenError, NotFoundError, UnauthorizedError

_JOIN = "kubectl guest join-token HOST, and here: innkeeper agent join --token-file -"


async def join_file(machine: Machine, joined: Joined) -> Finding:
    """Look at the join file and the token's file."""
    if joined.join_trouble is not None:
        is_closed = isinstance(joined.join_trouble.__cause__, PermissionError)
        return fail(
            joined.join_trouble.message, todo="run this as root" if is_closed else f"join again: {_JOIN}"
        )
    if joined.join is None:
        return warn(
            f"this machine has not joined: there is no {machine.join_file}", todo=f"make it a host: {_JOIN}"
        )
    token_file = machine.join_file.parent / joined.join.token_file
    open_to_others = [str(each) for each in (machine.join_file, token_file) if _is_open(each)]
    if open_to_others:
        return fail(
            f"others on this machine may read {' and '.join(open_to_others)}",
            todo=f"chmod 600 {' '.join(open_to_others)}, and revoke what they may have read",
        )
    return ok(f"this machine is the host {joined.join.host}")


async def token(machine: Machine, joined: Joined) -> Finding:
    """Look at when the token ends."""
    if joined.join is None:
        return _not_asked(joined)
    if joined.token is None:
        return fail("the token's file is missing, or holds no token", todo=f"join again: {_JOIN}")
    ends = rfc3339(joined.token.expires)
    if joined.token.expires <= machine.clock.now():
        return fail(f"the token ended at {ends}", todo=f"join again: {_JOIN}")
    if machine.clock.now() > joined.token.after(2 / 3):
        return warn(
            f"the token ends at {ends} and was not renewed",
            todo="look at the agent's log for token_not_renewed; a token that was made by hand, its maker renews",
        )
    return ok(f"good until {ends}")


async def api_server(_: Machine, joined: Joined) -> Finding:
    """Tell what the API server answered to this host, and what it may do there."""
    if joined.join is None:
        return _not_asked(joined)
    error, server = joined.trouble, joined.join.server
    if error is None:
        if joined.missing_rights:
            return fail(
                f"this host may not: {', '.join(joined.missing_rights)}",
                todo="is the operator of this version, with the rights and policies of this version?",
            )
        return ok(f"{server} answers, and this host has its rights there")
    if isinstance(error, UnauthorizedError):
        return fail(f"{server} does not know the token: it ended or was revoked", todo=f"join again: {_JOIN}")
    if isinstance(error, ForbiddenError | NotFoundError):
        return fail(error.message, todo=f"does the operator run, and is there a Host {joined.join.host}?")
    return fail(
        error.message,
        todo="can this machine reach it, by that name, and is its authority the one of the join?",
    )


def _not_asked(joined: Joined) -> Finding:
    has_joined = joined.join_trouble is not None
    return ok(f"not asked: {'the join file cannot be used' if has_joined else 'this machine has not joined'}")


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False
