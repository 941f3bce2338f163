"""The border as it was loaded last, and whether the kernel still has just that.

It is a transaction of its own, beside the packet filter: a kernel that lacks a part of it closes no guest's port.
"""

from collections.abc import Mapping

import structlog

from innkeeper.agent.net import border
from innkeeper.agent.net.border import TABLE, Border
from innkeeper.agent.net.nft import FilterError, Nft

_FAMILY = "inet"

log = structlog.get_logger()


class BorderTable:
    """The border of this host."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._text = ""
        self._listing: str | None = None  # how the kernel printed it after we loaded it

    async def have(self, wanted: Border, given: Mapping[str, tuple[str, ...]]) -> None:
        """Have this border; `given` are the addresses that the admin gave the host on each closed bridge.

        Raises:
            FilterError: it cannot be loaded; what was there stays.
        """
        text = "\n".join(border.table(wanted, given)) + "\n"
        there = await self._nft.listing(_FAMILY, TABLE)
        if there == self._listing and (text == self._text or (there is None and wanted == Border())):
            return
        if self._listing is not None and there != self._listing:
            log.warning("border_set_right", hint="somebody else changed the table `inet innkeeper`")
        self._listing = None  # where this fails, the next look loads it all
        try:
            await self._nft.load(text)
        except FilterError as error:
            raise FilterError(
                f"guests cannot be kept from the host itself, or hidden behind it: {error.message}; the kernel needs "
                "nft's family inet with fib, ct and masquerade"
            ) from error
        self._text, self._listing = text, await self._nft.listing(_FAMILY, TABLE)
