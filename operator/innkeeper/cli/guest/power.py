"""start and stop: each sets `spec.power` of Guests and follows them until they are so.

Exit codes: 0, 1 where a guest cannot come there or was not there in time, 2 for wrong usage.
"""

from typing import Any
from urllib.parse import quote

import typer

from innkeeper.cli.guest.asking import OWN, Asking, AskingError
from innkeeper.cli.guest.following import TIMEOUT, Document, Timeout, Wait, condition, follow
from innkeeper.cli.guest.operate import Names
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, dump, say
from innkeeper.domain.reasons import GuestReason, Power

_DONE = {Power.RUNNING: "started", Power.STOPPED: "stopped"}


def start(
    context: typer.Context,
    names: Names,
    *,
    namespace: Namespace = None,
    wait: Wait = True,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    output: OutputOption = Output.TABLE,
) -> None:
    """Start guests: on their hosts, with their disks and addresses."""
    _turn(
        context.obj,
        Power.RUNNING,
        names,
        namespace=namespace,
        timeout_s=timeout if wait else None,
        output=output,
    )


def stop(
    context: typer.Context,
    names: Names,
    *,
    namespace: Namespace = None,
    wait: Wait = True,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    output: OutputOption = Output.TABLE,
) -> None:
    """Let guests power off; they keep their hosts, disks and addresses."""
    _turn(
        context.obj,
        Power.STOPPED,
        names,
        namespace=namespace,
        timeout_s=timeout if wait else None,
        output=output,
    )


def _turn(
    asking: Asking,
    power: Power,
    names: list[str],
    *,
    namespace: str | None,
    timeout_s: float | None,
    output: Output,
) -> None:
    where = namespace or asking.namespace()
    guests = [_set(asking, power, name, namespace=where) for name in names]
    if timeout_s is not None:
        guests = [_followed(asking, power, each, timeout_s=timeout_s) for each in guests]
    if output in (Output.JSON, Output.YAML):
        dump(guests[0] if len(guests) == 1 else {"kind": "List", "items": guests}, output)
        return
    for each in guests:
        done = "" if output is Output.NAME else f" {_DONE[power] if timeout_s is not None else 'patched'}"
        say(f"guest.innkeeper.dev/{each['metadata']['name']}{done}")


def _set(asking: Asking, power: Power, name: str, *, namespace: str) -> dict[str, Any]:
    """Set the power of the very guest that has the name now; one that was made anew meanwhile is left alone."""
    found = asking.get(_path(namespace, name))
    if found["spec"].get("power", Power.RUNNING) == power:
        return found
    change = {"metadata": {"uid": found["metadata"]["uid"]}, "spec": {"power": power}}
    return asking.patch("guests.innkeeper.dev", name, change, namespace=namespace)


def _followed(asking: Asking, power: Power, guest: Document, *, timeout_s: float) -> dict[str, Any]:
    meta = guest["metadata"]
    wanted = GuestReason.STOPPED if power is Power.STOPPED else GuestReason.RUNNING

    def is_over(found: Document) -> bool:
        ready = condition(found, "Ready")
        if ready.get("observedGeneration", -1) < meta["generation"]:
            return False
        if power is Power.RUNNING and ready["reason"] == GuestReason.PAUSED:
            raise AskingError(f"{meta['name']} is paused: kubectl guest resume {meta['name']}")
        stalled = condition(found, "Stalled")
        if stalled:
            raise AskingError(f"{meta['name']}: {stalled['reason']}: {stalled['message']}")
        return bool(ready["status"] == "True" and ready["reason"] == wanted)

    return follow(
        asking,
        _path(meta["namespace"], meta["name"]),
        timeout_s=timeout_s,
        told=_progress,
        is_over=is_over,
    )


def _path(namespace: str, name: str) -> str:
    return f"{OWN}/namespaces/{quote(namespace, safe='')}/guests/{quote(name, safe='')}"


def _progress(found: Document) -> str:
    ready = condition(found, "Ready")
    words = ": ".join(word for word in (ready.get("reason"), ready.get("message")) if word)
    return f"{found['metadata']['name']}: {words or 'Pending'}"
