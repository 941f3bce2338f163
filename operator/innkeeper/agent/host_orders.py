"""The host's own orders: network, emulation, what may be promised, and keys, as the HostAgent object said last.

They are kept in the store, so an agent that starts while the API server is away can still start its guests. A HostAgent
that is gone changes nothing.
"""

from collections.abc import Mapping

import msgspec

from innkeeper.agent import trust
from innkeeper.agent.store.reading import HOST_SETTINGS
from innkeeper.agent.store.store import Store
from innkeeper.views.host import HostAgent, HostAgentSpec, Network, Overcommit, Reserved

_KEY = "host_orders"


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What was last ordered of the host. Where nothing was said of overcommit, there is none."""

    network: Network
    allow_emulation: bool
    reserved: Reserved = Reserved()
    overcommit: Overcommit = Overcommit()
    endorsed_keys: dict[str, str] = {}
    pinned: list[str] | None = None  # the IDs of the keys that the endorsed ones go back to


class HostOrders:
    """Settings and trusted keys. `settings` is None until a HostAgent was seen once in the store's life."""

    def __init__(self, store: Store, pinned: Mapping[str, bytes]) -> None:
        self._store = store
        self._pinned = dict(pinned)
        self._seen: HostAgentSpec | None = None  # as a reader of the store is told
        self.settings: HostSettings | None = None
        self.keys: dict[str, bytes] = dict(pinned)

    async def load(self) -> None:
        """Read what was kept."""
        seen = await self._store.meta(HOST_SETTINGS)
        self._seen = None if seen is None else msgspec.json.decode(seen, type=HostAgentSpec)
        text = await self._store.meta(_KEY)
        if text is not None:
            self.settings = msgspec.json.decode(text, type=HostSettings)
            if self.settings.pinned in (None, sorted(self._pinned)):
                self.keys = {**trust.decode_keys(self.settings.endorsed_keys), **self._pinned}
            # Else this is a new join file: trust starts anew from it, or no key could ever be taken back.

    async def update(self, agent: HostAgent) -> bool:
        """Keep what a HostAgent says; return whether anything changed that concerns guests here.

        What it says of guests to come is only kept: orders need no second look for that.
        """
        keys = trust.extend(self.keys, agent.spec.order_keys)
        endorsed = {name: raw for name, raw in keys.items() if name not in self._pinned}
        settings = HostSettings(
            network=agent.spec.network,
            allow_emulation=agent.spec.allow_emulation,
            reserved=agent.spec.reserved,
            overcommit=agent.spec.overcommit,
            endorsed_keys=trust.encode_keys(endorsed),
            pinned=sorted(self._pinned),
        )
        if (settings, agent.spec) == (self.settings, self._seen):
            return False
        kept = {_KEY: settings, HOST_SETTINGS: agent.spec}
        await self._store.keep_meta(
            **{key: msgspec.json.encode(value).decode() for key, value in kept.items()}
        )
        concerns = (self.settings, _without_scheduling(self._seen)) != (
            settings,
            _without_scheduling(agent.spec),
        )
        self.settings, self.keys, self._seen = settings, keys, agent.spec
        return concerns


def _without_scheduling(spec: HostAgentSpec | None) -> HostAgentSpec | None:
    return None if spec is None else msgspec.structs.replace(spec, scheduling=None)
