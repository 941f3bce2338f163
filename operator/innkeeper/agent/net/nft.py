"""The kernel's packet filter, by the program `nft`: load text in one transaction, read it back, read counters.

What it reads is the kernel's own word on our tables; it never changes another's.
"""

import json

from innkeeper.agent import programs
from innkeeper.errors import InnkeeperError

_DEADLINE_S = 30.0


class FilterError(InnkeeperError):
    """The packet filter cannot be set or read."""

    reason = "NetworkFailed"


class Nft:
    """nft in this network namespace."""

    def __init__(self, program: str = "nft") -> None:
        self._program = program

    async def load(self, text: str) -> None:
        """Load rules: all of them, or none.

        Raises:
            FilterError: nft refuses, or is not installed.
        """
        await self._run("-f", "-", given=text.encode())

    async def listing(self, family: str, table: str) -> str | None:
        """Return a table as nft prints it, without the values of counters; None where there is none."""
        try:
            return (await self._run("-s", "list", "table", family, table)).decode(errors="replace")
        except FilterError as error:
            if "No such file" in error.message:
                return None
            raise

    async def counters(self, family: str, table: str) -> dict[str, int]:
        """Return how many frames each named counter of a table has counted."""
        answer = await self._run("-j", "list", "counters", "table", family, table)
        found = (each.get("counter") for each in json.loads(answer)["nftables"])
        return {str(each["name"]): int(each["packets"]) for each in found if each}

    async def _run(self, *words: str, given: bytes = b"") -> bytes:
        return await programs.run(
            self._program,
            words,
            package="nftables",
            failure=FilterError,
            deadline_s=_DEADLINE_S,
            given=given,
        )
