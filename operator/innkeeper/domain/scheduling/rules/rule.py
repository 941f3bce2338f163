"""The form of a rule: plain data, so that a list of rules is all there is to register."""

from collections.abc import Callable
from dataclasses import dataclass

from innkeeper.domain.scheduling.facts import HostFacts, Request


@dataclass(frozen=True)
class Rule:
    """A rule: its name, a test, and the words for hosts that fail, after a count: "3 " + `lacks`."""

    name: str
    passes: Callable[[Request, HostFacts], bool]
    lacks: str
