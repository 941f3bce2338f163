"""`innkeeper agent inspect`: what a host's store holds, as text or JSON."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.inspection import (
    GuestFacts,
    Inspection,
    OperationFacts,
    TombstoneFacts,
    inspect,
)
from innkeeper.cli.at_host import STATE_DIR, StateDir
from innkeeper.cli.guest.tables import columns
from innkeeper.cli.output import Output
from innkeeper.domain.host_store import GuestEntry
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.quantity import format_bytes, format_cpu


async def run(
    *,
    state_dir: StateDir = STATE_DIR,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="text, or json, which holds user data too.")
    ] = Output.TEXT,
) -> None:
    """Print all that a host's store holds; no API server and no running agent is needed.

    It only reads, and an agent may be at work. JSON has the signed orders whole, and with them the guests' user data.
    """
    found = await asyncio.to_thread(inspect, StatePaths(state_dir).database)
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        sys.stdout.write("\n\n".join(_parts(found)) + "\n")


def _parts(found: Inspection) -> Iterator[str]:
    if found.trouble is not None:
        yield f"An agent does not start on this: {found.trouble}"
    yield _head(found)
    if found.guests:
        yield _guests(found.guests)
        yield from (text for each in found.guests for text in _of_guest(each))
    if found.operations:
        yield _operations(found.operations)
    if found.tombstones:
        yield _tombstones(found.tombstones)
    if found.changes:
        rows = [["LINE", "AT", "GUEST ID", "WHAT"]]
        yield columns([*rows, *([each.seq, each.at, each.guest_id, each.what] for each in found.changes)])


def _head(found: Inspection) -> str:
    lines = [
        ("host", found.host),
        ("store", found.store_id),
        ("version", f"{found.version} (this program knows {found.known_version})"),
        ("log", f"lines {found.log_start} to {found.log_end}" if found.log_end else "empty"),
        ("holds", f"{len(found.guests)} guests, {len(found.tombstones)} tombstones"),
    ]
    settings = found.settings
    if settings is None:
        lines.append(("settings", "none were seen yet"))
    else:
        percent, reserved = settings.overcommit, settings.reserved
        lines += [
            ("cluster", settings.cluster),
            ("bridge", settings.network.base),
            ("emulation", "allowed" if settings.allow_emulation else "not allowed"),
            ("reserved", f"cpu {reserved.cpu}, memory {reserved.memory}, disk {reserved.disk}"),
            (
                "overcommit",
                f"cpu {percent.cpu_percent} %, memory {percent.memory_percent} %, disk {percent.disk_percent} %",
            ),
            ("order keys", ", ".join(key.id for key in settings.order_keys)),
        ]
    return columns(lines)


def _guests(guests: list[GuestFacts]) -> str:
    rows: list[list[object]] = [
        [
            "GUEST ID",
            "GUEST",
            "ORDER",
            "WANTED",
            "OUTCOME",
            "LIFE",
            "READY",
            "REASON",
            "SINCE",
            "SIZE",
            "ADDRESSES",
            "IMAGE",
            "AT THE HOST",
        ]
    ]
    for each in guests:
        entry, says = each.entry, each.says
        order: list[object] = ["", "unreadable", ""]
        size, addresses, image = "", "", ""
        if says is not None:
            order = [f"{says.namespace}/{says.name}", f"{says.epoch}.{says.serial}", says.desired]
            wants = says.resources
            amounts = (format_bytes(wants.memory_bytes), format_bytes(wants.disk_bytes))
            size = ", ".join((format_cpu(wants.cpu_millis), *amounts))
            addresses = " ".join(address.address for address in says.addresses)
            image = _image(says.image) if says.image is not None else ""
        stands = [entry.outcome, entry.life, entry.ready, entry.reason, entry.changed_at]
        wish = f"{entry.wish.power} by {entry.wish.by} at {entry.wish.at}" if entry.wish is not None else ""
        rows.append([entry.guest_id, *order, *stands, size, addresses, image, wish])
    return columns(rows)


def _image(image: OrderImage) -> str:
    return f"{image.namespace}/{image.name} {image.digest}"


def _of_guest(guest: GuestFacts) -> Iterator[str]:
    says = guest.says
    notes = [("LABEL", says.labels), ("ANNOTATION", says.annotations)] if says is not None else []
    for kind, found in notes:
        if found:
            yield f"{kind.title()}s of {guest.entry.guest_id}\n{columns([[kind, 'VALUE'], *found.items()])}"
    yield _history(guest.entry)


def _history(entry: GuestEntry) -> str:
    steps = [[each.at, each.reason, each.message] for each in entry.history]
    return f"History of {entry.guest_id}\n{columns([['AT', 'REASON', 'MESSAGE'], *steps])}"


def _operations(operations: list[OperationFacts]) -> str:
    rows: list[list[object]] = [["OPERATION", "GUEST ID", "KIND", "PHASE", "STARTED", "FINISHED", "WHY"]]
    for each in operations:
        why = ": ".join(part for part in (each.reason, each.message) if part)
        stands = [each.kind, each.phase, each.started_at, each.finished_at]
        rows.append([each.id, each.guest_id, *stands, why])
    return columns(rows)


def _tombstones(tombstones: list[TombstoneFacts]) -> str:
    rows: list[list[object]] = [["TOMBSTONE", "GUEST", "ORDER", "AT", "WHAT"]]
    for each in tombstones:
        entry = each.entry
        name = f"{each.namespace}/{each.name}" if each.name else ""
        what = f"Forgotten by {entry.forgotten}" if entry.forgotten else "Destroyed"
        rows.append([entry.guest_id, name, f"{entry.epoch}.{entry.serial}", entry.destroyed_at, what])
    return columns(rows)
