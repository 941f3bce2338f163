"""Whose history a snapshot was taken of: marks that the operator leaves in the store beside what it watches.

A snapshot is taken first and marked afterwards, so a store that holds the mark holds everything that the snapshot shows.
A store that was restored from an older copy has lost the mark, even when its versions have grown past the snapshot's
since. The marks lie in one ConfigMap; each replica has a line of its own there, with its last marks and the one that its
file has. Beside them lie the last marks of those that lead, all in one line, and how far the hearing of hosts is where
that was needed.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from innkeeper.clock import Clock, parse_rfc3339, rfc3339
from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, ConflictError, NotFoundError
from innkeeper.kube.resources import CONFIG_MAPS, NAMESPACES
from innkeeper.kube.views import ConfigMap

OBJECT = "innkeeper-store"
KUBE_SYSTEM = "kube-system"
MOST_REPLICAS = 16
MOST_TERMS = 16  # those of several operators at once, and those whose answers never came
MARGIN = 4  # of the marks: whoever finds its own among the last so many leaves a new one
TRIES = 8  # of a change that others came before
_PREFIX = "replica."
_TERM = "term"
_REBUILD = "rebuild"


@dataclass(frozen=True)
class History:
    """A store, and the marks that replicas left in it."""

    store: str  # kube-system's UID and a random token
    marks: dict[str, tuple[str, ...]]  # by replica, the newest first
    terms: tuple[str, ...] = ()  # marks of operators that led, the newest first
    rebuild: RebuildState | None = None
    noted_at: datetime | None = None  # when that was noted, by the clock of whoever did

    @property
    def is_settled(self) -> bool:
        """Whether an operator leads in it, or may: nothing is left to hear of hosts."""
        return self.rebuild is RebuildState.DONE or (self.rebuild is None and bool(self.terms))

    def crowds_out(self, term: str) -> bool:
        """Tell whether the marks of others are about to push this one out."""
        return term in self.terms[MOST_TERMS - MARGIN :]

    @property
    def is_pending(self) -> bool:
        """Whether hosts were to be heard, and nobody noted that this came to its end."""
        return self.rebuild in (RebuildState.REBUILDING, RebuildState.HEALING)

    def is_healed(self, *, since: datetime, now: datetime) -> bool:
        """Tell whether hosts were heard, or a person said that they need not be, after a moment.

        What is noted of a time to come says nothing yet: the clock of whoever noted it is ahead, and a copy from before a
        later loss would say the same.
        """
        done = self.rebuild is RebuildState.DONE
        return done and self.noted_at is not None and since < self.noted_at <= now


class StoreHistory:
    """Reads and leaves marks."""

    def __init__(self, client: Client, clock: Clock, *, namespace: str) -> None:
        self._client = client
        self._clock = clock
        self._namespace = namespace

    async def read(self) -> History:
        """Return what the store says; where it says nothing yet, give it a token.

        Raises:
            ApiError: the API server refused, or is away.
        """
        system = await self._client.get(NAMESPACES, KUBE_SYSTEM)
        held = await self._held()
        marks = {
            key.removeprefix(_PREFIX): tuple(value.split()[1:])
            for key, value in held.data.items()
            if key.startswith(_PREFIX)
        }
        store = f"{system.metadata.uid}/{held.data.get('token', '')}"
        return History(store, marks, _terms(held), _state(held), _noted_at(held))

    async def mark_term(self) -> str:
        """Leave the mark of an operator that begins to lead, and return it.

        Raises:
            ApiError: the API server refused, or is away; ConflictError where others came before again and again.
        """
        new = secrets.token_hex(8)
        await self._put_term(new, after=None)
        return new

    async def mark_term_again(self, known: str) -> str | None:
        """Leave a new mark of an operator that leads, and return it; None where its last one, `known`, is not there.

        The last one is kept beside it: of the new one nobody knows where the answer never comes.

        Raises:
            ApiError: the API server refused, or is away; ConflictError where others came before again and again.
        """
        new = secrets.token_hex(8)
        return new if await self._put_term(new, after=known) else None

    async def _put_term(self, new: str, *, after: str | None) -> bool:
        """Put a mark before all others; tell whether `after` was there. Nobody else's is lost for two at once."""
        tries = 0
        while True:
            held = await self._held()
            before = _terms(held)
            if after is not None and after not in before:
                return False
            own = (new,) if after is None else (new, after)
            kept = list(dict.fromkeys((*own, *before)))[:MOST_TERMS]
            try:
                await self._change({_TERM: " ".join(kept)}, resource_version=held.metadata.resource_version)
            except ConflictError:
                tries += 1
                if tries == TRIES:
                    raise
            else:
                return True

    async def note(self, state: RebuildState) -> None:
        """Note how far the hearing of hosts is.

        Raises:
            ApiError: the API server refused, or is away.
        """
        await self._held()
        await self._change({_REBUILD: f"{state} {rfc3339(self._clock.now())}"})

    async def mark(self, replica: str, *, before: Iterable[str]) -> str:
        """Leave a new mark, keep those before, and return it; replicas that left none for long are forgotten.

        Raises:
            ApiError: the API server refused, or is away.
        """
        new = secrets.token_hex(8)
        kept = dict.fromkeys(each for each in (new, *before) if each)
        held = await self._change({f"{_PREFIX}{replica}": " ".join((rfc3339(self._clock.now()), *kept))})
        lines = {value: key for key, value in held.data.items() if key.startswith(_PREFIX)}
        surplus = sorted(lines)[:-MOST_REPLICAS]
        if surplus:
            await self._change({lines[each]: None for each in surplus})
        return new

    async def _change(self, data: dict[str, str | None], *, resource_version: str | None = None) -> ConfigMap:
        return await self._client.patch(
            CONFIG_MAPS,
            OBJECT,
            {"data": data},
            namespace=self._namespace,
            resource_version=resource_version,
        )

    async def _held(self) -> ConfigMap:
        try:
            return await self._client.get(CONFIG_MAPS, OBJECT, namespace=self._namespace)
        except NotFoundError:
            body = {"metadata": {"name": OBJECT}, "data": {"token": secrets.token_hex(16)}}
            try:
                return await self._client.create(CONFIG_MAPS, body, namespace=self._namespace)
            except AlreadyExistsError:
                return await self._client.get(CONFIG_MAPS, OBJECT, namespace=self._namespace)


def _terms(held: ConfigMap) -> tuple[str, ...]:
    return tuple(held.data.get(_TERM, "").split())


def _state(held: ConfigMap) -> RebuildState | None:
    word = held.data.get(_REBUILD, "").partition(" ")[0]
    return RebuildState(word) if word in set(RebuildState) else None


def _noted_at(held: ConfigMap) -> datetime | None:
    try:
        return parse_rfc3339(held.data.get(_REBUILD, "").partition(" ")[2])
    except ValueError:
        return None
