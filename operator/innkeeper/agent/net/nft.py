"""The kernel's packet filter, by the program `nft`: load text in one transaction, read it back, read counters.

It runs nft with an argument list and no shell; what it reads is bounded in size and in time.
"""

import asyncio
import json

from innkeeper.errors import InnkeeperError

_DEADLINE_S = 30.0
_MOST_BYTES = 64 * 1024 * 1024


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
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise FilterError(f"nft cannot be run: {error}; install the package nftables") from error
        try:
            async with asyncio.timeout(_DEADLINE_S):
                answer, complaint = await process.communicate(given)
        except TimeoutError as error:
            raise FilterError(f"nft did not end within {_DEADLINE_S:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise FilterError(f"nft refuses: {complaint[:300].decode(errors='replace').strip()}")
        if len(answer) > _MOST_BYTES:
            raise FilterError("nft says more than can be true")
        return answer
