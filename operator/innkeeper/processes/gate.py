"""The gate before leading: hosts that may hold what the API server does not know are heard before anything is decided.

In a new store it waits for a person, or hears hosts itself, as the policy says; in one that was put back to an older copy
it hears them itself. While this process leads it looks whether the store still goes on from here, and ends otherwise.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.rebuild.findings import Finding
from innkeeper.domain.rebuild.gate import Action, RebuildPolicy, RebuildState, Standing, Store, action
from innkeeper.errors import InnkeeperError, TerminalError
from innkeeper.hosts.directory import HostDirectory
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ApiError
from innkeeper.processes.hosts_asked import client_files, hearing, public_keys
from innkeeper.processes.order_key import KeySource, read_order_keys
from innkeeper.processes.snapshots import Snapshots
from innkeeper.processes.store_history import History, StoreHistory
from innkeeper.processes.watches import Watches
from innkeeper.settings import OperatorSettings
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import RebuildMetrics
from innkeeper.workers.rebuild.rebuild import Outcome, Rebuild

log = structlog.get_logger(__name__)

R = TypeVar("R")

AGAIN_S = 10.0
LOOK_S = 5.0
NAMED = 5  # hosts that a sentence names
WAITS = (
    "this API server is a new one, and {whose} names hosts that may hold guests: run `innkeeper operator rebuild`{how}, "
    "or start with --rebuild Never where nothing of them is to come back"
)
NOBODY = (
    "the store is a new one or an older copy, and no host is known that could say what it lacks: name the hosts in the "
    "hosts file, or start with --rebuild Never where there are none"
)
UNASKED = {
    Standing.OTHER_HISTORY: "the store is an older copy, and no host is asked what it holds",
    Standing.OTHER_STORE: "the store is a new one, and no host of the one before is asked what it holds: guests that are "
    "applied again run twice",
}
LOST = "the API server's store was replaced, or put back to an older copy: this process ends and begins anew"
BEGUN = "a rebuild was begun and has not come to its end: run `innkeeper operator rebuild` again"


class HistoryLostError(TerminalError):
    """The API server's store was put back while this process led: what it knows is of no use."""

    reason = "HistoryLost"


class Gate:
    """One process's gate. `trouble` says what it waits for."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        client: Client,
        clock: Clock,
        watches: Watches,
        subset: Subset,
        metrics: RebuildMetrics,
    ) -> None:
        self.trouble: str | None = None
        self.snapshots: Snapshots | None = None
        self._settings = settings
        self._client = client
        self._clock = clock
        self._watches = watches
        self._subset = subset
        self._metrics = metrics
        self._history = StoreHistory(client, clock, namespace=settings.namespace)
        self._directory = HostDirectory(self._reported, file=settings.hosts_file)
        self._before: Mapping[str, str | None] = {}  # hosts that the snapshot names, where it is needed
        self._term = ""
        self._store = ""

    async def opened(self) -> None:
        """Wait while a person has to act; the Lease is free meanwhile for `innkeeper operator rebuild`."""
        await self._watches.synced()
        while True:
            found, history = await self._judge()
            if found is not Action.WAIT:
                break
            self._tell(BEGUN if history.rebuild is RebuildState.REBUILDING else self._why_it_waits())
            await self._clock.sleep(AGAIN_S)
        self._tell(None)

    async def enter(self) -> bool:
        """Do what has to be done before this process decides anything; False where a person has to act first.

        It holds the Lease, and its view is complete.
        """
        found, history = await self._judge()
        if found is Action.WAIT:
            return False
        is_unheard = history.is_pending or self._standing(history) in UNASKED
        # From here on it is known; what is found later happened later, or is found by the guard.
        self._watches.went_back.clear()
        if found is Action.HEAL:
            await self._heal()
        elif is_unheard:
            log.warning("rebuild_left", state=history.rebuild)
            if self._settings.rebuild is RebuildPolicy.NEVER:  # a person said so
                await self._persist(lambda: self._history.note(RebuildState.DONE))
        self._term = await self._persist(self._history.mark_term)
        history = await self._persist(self._history.read)
        self._store = history.store
        if self.snapshots is not None:
            self.snapshots.accept(history)
        return True

    async def guard(self) -> None:
        """Look for ever whether the store goes on from here, and mark it now and then: a copy of before lacks the mark.

        What an informer finds is heard at once.

        Raises:
            HistoryLostError: it was put back to an older copy.
        """
        marked_at = self._clock.monotonic()
        while True:
            await self._until_next_look()
            try:
                history = await self._check()
                is_due = self._clock.monotonic() - marked_at >= self._settings.snapshot_every_s
                if is_due or history.crowds_out(self._term):
                    await self._mark_again()
                    marked_at = self._clock.monotonic()
            except ApiError as error:
                log.info("store_not_read", reason=error.reason, message=error.message)

    async def _until_next_look(self) -> None:
        """Let some seconds pass.

        Raises:
            HistoryLostError: an informer found meanwhile that the store is older than what it had seen.
        """
        look = asyncio.ensure_future(self._clock.sleep(min(LOOK_S, self._settings.snapshot_every_s)))
        told = asyncio.ensure_future(self._watches.went_back.wait())
        try:
            await asyncio.wait({look, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            look.cancel()
            told.cancel()
            await asyncio.gather(look, told, return_exceptions=True)
        if self._watches.went_back.is_set():
            raise HistoryLostError(LOST)

    async def _check(self) -> History:
        history = await self._history.read()
        if self._term not in history.terms:
            raise HistoryLostError(LOST)
        return history

    async def _mark_again(self) -> None:
        marked = await self._history.mark_term_again(self._term)
        if marked is None:  # it was put back after the look
            raise HistoryLostError(LOST)
        self._term = marked

    async def note_lost(self) -> None:
        """Note that hosts have to be heard before anybody decides; in another store, the gate decides anew."""
        self._tell(LOST)
        history = await self._persist(self._history.read)
        if history.store == self._store:
            await self._persist(lambda: self._history.note(RebuildState.HEALING))

    async def _judge(self) -> tuple[Action, History]:
        await asyncio.to_thread(self._directory.read)
        history = await self._persist(self._history.read)
        standing = self._standing(history)
        self._before = await self._hosts_before(standing, history)
        is_another = standing is Standing.OTHER_STORE
        store = Store(
            standing=standing,
            state=history.rebuild,
            was_led=bool(history.terms),
            has_bound_guests=any(each.status.host for each in self._subset.guests.values()),
            can_ask=client_files(self._settings) is not None,
            are_listed=bool(self._directory.listed()) or (is_another and bool(self._before)),
        )
        found = action(store, self._settings.rebuild)
        if found is Action.LEAD and standing in UNASKED and not (is_another and history.is_settled):
            log.error("hosts_not_asked", standing=standing, message=UNASKED[standing])
        return found, history

    def _standing(self, history: History) -> Standing:
        """Tell whether the store goes on from what this process knew: by its snapshot, and by what its informers saw."""
        self._store = self._store or history.store
        found = self.snapshots.standing(history) if self.snapshots is not None else Standing.UNKNOWN
        if found in UNASKED or not self._watches.went_back.is_set():
            return found
        return Standing.OTHER_HISTORY if history.store == self._store else Standing.OTHER_STORE

    async def _hosts_before(self, standing: Standing, history: History) -> Mapping[str, str | None]:
        """Return the hosts that the snapshot names, by where each is reached, where the store may not know them all."""
        if self.snapshots is None or not (history.is_pending or standing in UNASKED):
            return {}
        return await self.snapshots.hosts()

    def _why_it_waits(self) -> str:
        if not self._before:
            return WAITS.format(whose="the hosts file", how="")
        how = f" with --snapshot-file {self._settings.snapshot_file}"
        return WAITS.format(whose="the snapshot of the one before", how=how)

    async def _heal(self) -> None:
        """Hear hosts until each of them was heard or is lost, and make what is missing.

        Where a person said of all of them that they are lost, it stays noted that none was heard.
        """
        await self._persist(lambda: self._history.note(RebuildState.HEALING))
        while not await self._are_all_lost():
            if await self._had_no_hosts():
                await self._persist(lambda: self._history.note(RebuildState.DONE))
                break
            try:
                outcome = await self._run()
            except InnkeeperError as error:
                self._tell(f"hosts have to be heard before anything is decided: {error.message}")
            else:
                self._note(outcome)
                if outcome.is_complete:
                    await self._persist(lambda: self._history.note(RebuildState.DONE))
                    break
                self._tell(_incomplete(outcome))
            await self._clock.sleep(AGAIN_S)
        self._tell(None)

    async def _run(self) -> Outcome:
        keys = await read_order_keys(self._client, KeySource.of(self._settings))
        if keys is None:
            raise TerminalError(
                "there is no order key to know orders by: give --order-key-file, or restore its Secret"
            )
        how = hearing(
            self._settings,
            keys=public_keys(keys),
            address_of=lambda host: self._directory.address_of(host) or self._before.get(host),
            clock=self._clock,
        )
        async with how as heard:
            rebuild = Rebuild(self._client, heard, clock=self._clock, assume=self._watches.assume)
            return await rebuild.run(self._hosts())

    async def _are_all_lost(self) -> bool:
        await asyncio.to_thread(self._directory.read)
        return bool(self._known()) and not self._hosts()

    async def _had_no_hosts(self) -> bool:
        """Tell whether nothing can be lost: no host is known, and this replica's own snapshot of the store names none."""
        if self._known() or self.snapshots is None:
            return False
        return await self.snapshots.names_nobody(await self._persist(self._history.read))

    def _hosts(self) -> set[str]:
        """Return who has to be heard: everybody but those that a person said are lost.

        A copy of the store may not say where a host is reached that joined since: it may hold guests all the same.
        """
        return {each for each in self._known() if not self._subset.host_is_lost(each)}

    def _known(self) -> set[str]:
        return {*self._subset.hosts, *self._directory.listed(), *self._before}

    def _reported(self, host: str) -> str | None:
        agent = self._subset.host_agents.get(host)
        return agent.status.address if agent is not None else None

    def _note(self, outcome: Outcome) -> None:
        for each in outcome.findings:
            self._metrics.findings.labels(kind=each.kind).inc()
            log.warning("rebuild_finding", kind=each.kind, host=each.host, message=each.message)
        self._metrics.unheard.set(len(outcome.unheard))
        log.info("hosts_heard", heard=outcome.heard, unheard=len(outcome.unheard), made=dict(outcome.made))

    def _tell(self, trouble: str | None) -> None:
        self.trouble = trouble
        self._metrics.waits.set(float(trouble is not None))
        if trouble is not None:
            log.warning("does_not_lead", message=trouble)

    async def _persist(self, call: Callable[[], Awaitable[R]]) -> R:
        """Make a call until the API server answers it."""
        while True:
            try:
                return await call()
            except ApiError as error:
                log.warning("store_not_read", reason=error.reason, message=error.message)
                await self._clock.sleep(AGAIN_S / 5)


def _incomplete(outcome: Outcome) -> str:
    if outcome.unheard:
        return _unheard(outcome)
    if outcome.unclaimed:
        return (
            f"addresses in use are held by nobody, and may be given to others: {_first_of(outcome.unclaimed)}"
        )
    if outcome.lagging:
        return f"guests would be switched by the word of an older copy: {_first_of(outcome.lagging)}"
    return NOBODY


def _first_of(findings: Sequence[Finding]) -> str:
    others = len(findings) - 1
    return f"{findings[0].message}{f', and {others} more' if others else ''}"


def _unheard(outcome: Outcome) -> str:
    named = sorted(outcome.unheard)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return (
        f"not heard: {', '.join(named[:NAMED])}{more}. Nothing is decided before: they may hold guests and addresses "
        "that this API server does not know. Have their agents run, name those in the hosts file of which nobody knows "
        "where they are reached, or set spec.lost of their Hosts (create those that are gone)"
    )
