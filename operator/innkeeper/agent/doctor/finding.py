"""What a check says: how it stands, what was seen, and what to do about it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands. Only `fail` keeps guests from running here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    seen: str
    todo: str = ""


def ok(seen: str) -> Finding:
    """Return that all is well."""
    return Finding(verdict=Verdict.OK, seen=seen)


def warn(seen: str, *, todo: str) -> Finding:
    """Return that guests run, and somebody should still do something."""
    return Finding(verdict=Verdict.WARN, seen=seen, todo=todo)


def fail(seen: str, *, todo: str) -> Finding:
    """Return that guests do not run, or not for long."""
    return Finding(verdict=Verdict.FAIL, seen=seen, todo=todo)


@dataclass(frozen=True)
class Result:
    """What one check found."""

    check: str
    finding: Finding


Checking = Callable[..., Awaitable[Finding]]
