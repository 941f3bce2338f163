"""Which guest a word means: its name, `guest/NAME` as `-o name` prints it, or its URN, which the query API knows."""

from typing import Annotated, NamedTuple
from urllib.parse import quote

import typer

from innkeeper.cli.guest.asking import BASE, OWN, Asking
from innkeeper.cli.guest.completion import guest_names

URN = "urn:innkeeper:guest:"
_PREFIXES = ("guest/", "guests/", "guest.innkeeper.dev/", "guests.innkeeper.dev/")

Name = Annotated[str, typer.Argument(help="The guest: its name or its URN.", autocompletion=guest_names)]
Names = Annotated[
    list[str], typer.Argument(help="The guests: their names or URNs.", autocompletion=guest_names)
]


class Target(NamedTuple):
    """One guest."""

    namespace: str
    name: str

    @property
    def path(self) -> str:
        """The path of its object."""
        return f"{self.base}/guests/{quote(self.name, safe='')}"

    @property
    def base(self) -> str:
        """The path of its namespace in innkeeper.dev."""
        return f"{OWN}/namespaces/{quote(self.namespace, safe='')}"

    @property
    def view(self) -> str:
        """Its path in the query API."""
        where, name = quote(self.namespace, safe=""), quote(self.name, safe="")
        return f"{BASE}/namespaces/{where}/guestviews/{name}"


def find(asking: Asking, word: str, namespace: str | None) -> Target:
    """Return the guest that a word means; a URN says itself in which namespace it is.

    Raises:
        AskingError: no guest has that URN, or the caller may not know of it.
    """
    if word.startswith(URN):
        found = asking.get(f"{BASE}/guestids/{quote(word.removeprefix(URN), safe='')}")["metadata"]
        return Target(found["namespace"], found["name"])
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return Target(namespace or asking.namespace(), word)


def urn_of(guest_id: str) -> str:
    """Return the URN of a Guest ID."""
    return f"{URN}{guest_id}"
