"""What is agreed before a client reads: which export, and in which form it is answered.

A client has a deadline and a bounded number of options; one that asks for what is not here is told so and may go on.
"""

from dataclasses import dataclass

from innkeeper.agent.streaming.nbd import wire
from innkeeper.agent.streaming.nbd.connection import Connection
from innkeeper.agent.streaming.nbd.export import Export, Exports
from innkeeper.agent.streaming.nbd.wire import ExportFlag, Option, OptionReply, WireError

FLAGS = ExportFlag.HAS_FLAGS | ExportFlag.READ_ONLY | ExportFlag.SEND_DF | ExportFlag.CAN_MULTI_CONN
MAX_READ = 32 * 1024 * 1024  # bytes; what clients hold for the limit where none is told
PREFERRED_READ = 4096
MAX_OPTIONS = 64
MAX_OPTION_BYTES = 64 * 1024


@dataclass
class Agreed:
    """What was agreed so far."""

    structured: bool = False
    status_of: str | None = None  # the export whose block status may be asked for


class Negotiation:
    """One client's. `run` returns the export that it chose, or None where it went away in peace."""

    def __init__(self, connection: Connection, exports: Exports) -> None:
        self._connection = connection
        self._exports = exports
        self.agreed = Agreed()

    async def run(self) -> tuple[str, Export] | None:
        """Negotiate.

        Raises:
            WireError: the client does not speak the protocol.
            ClosedError: it went away.
        """
        await self._connection.send(wire.greeting())
        flags = int.from_bytes(await self._connection.read(4), "big")
        if flags & ~(wire.FIXED_NEWSTYLE | wire.NO_ZEROES) or not flags & wire.FIXED_NEWSTYLE:
            raise WireError(f"the client's flags are {flags:#x}")
        for _ in range(MAX_OPTIONS):
            option, length = wire.read_option(await self._connection.read(wire.OPTION_BYTES))
            if length > MAX_OPTION_BYTES:
                raise WireError(f"an option has {length} bytes")
            data = await self._connection.read(length)
            if option == Option.ABORT:
                await self._connection.send(wire.option_reply(option, OptionReply.ACK))
                return None
            if option == Option.EXPORT_NAME:
                return await self._old_way(data, padded=not flags & wire.NO_ZEROES)
            if (chosen := await self._answer(option, data)) is not None:
                return chosen
        raise WireError("the client does not come to an end of its options")

    async def _old_way(self, data: bytes, *, padded: bool) -> tuple[str, Export]:
        """Answer an option that cannot be refused but by hanging up."""
        name = data.decode(errors="replace")
        export = self._exports.find(name)
        if export is None:
            raise WireError(f"there is no export {name[:80]!r}")
        await self._connection.send(wire.old_export(export.size, FLAGS, padded=padded))
        return name, export

    async def _answer(self, option: int, data: bytes) -> tuple[str, Export] | None:
        match option:
            case Option.GO | Option.INFO:
                return await self._go(option, data)
            case Option.LIST:
                # Nobody is told the names: they are digests of images, and who needs one was given it.
                await self._connection.send(wire.option_reply(option, OptionReply.ACK))
            case Option.STRUCTURED_REPLY:
                self.agreed.structured = True
                await self._connection.send(wire.option_reply(option, OptionReply.ACK))
            case Option.SET_META_CONTEXT | Option.LIST_META_CONTEXT:
                await self._meta_context(option, data)
            case _:
                await self._connection.send(wire.option_reply(option, OptionReply.ERR_UNSUPPORTED))
        return None

    async def _go(self, option: int, data: bytes) -> tuple[str, Export] | None:
        name, _wanted = wire.read_name(data)
        export = self._exports.find(name)
        if export is None:
            await self._connection.send(wire.option_reply(option, OptionReply.ERR_UNKNOWN))
            return None
        sizes = wire.block_size_info(least=1, preferred=PREFERRED_READ, most=MAX_READ)
        await self._connection.send(
            wire.option_reply(option, OptionReply.INFO, wire.export_info(export.size, FLAGS)),
            wire.option_reply(option, OptionReply.INFO, sizes),
            wire.option_reply(option, OptionReply.ACK),
        )
        return (name, export) if option == Option.GO else None

    async def _meta_context(self, option: int, data: bytes) -> None:
        name, queries = wire.read_queries(data)
        if not self.agreed.structured:
            await self._connection.send(wire.option_reply(option, OptionReply.ERR_INVALID))
            return
        if self._exports.find(name) is None:
            await self._connection.send(wire.option_reply(option, OptionReply.ERR_UNKNOWN))
            return
        lists_all = option == Option.LIST_META_CONTEXT and not queries
        known = lists_all or wire.META_CONTEXT in queries or "base:" in queries
        if option == Option.SET_META_CONTEXT:
            self.agreed.status_of = name if known else None
        found = [wire.option_reply(option, OptionReply.META_CONTEXT, wire.meta_context())] if known else []
        await self._connection.send(*found, wire.option_reply(option, OptionReply.ACK))
