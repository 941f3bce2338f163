"""start and stop: each sets `spec.power` of Guests and follows them until they are so.

Exit codes are those of `exit_codes`.
"""

from typing import Any

import typer

from innkeeper.cli.guest.asking import Asking, AskingError
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.following import (
    TIMEOUT,
    Deadline,
    Document,
    Timeout,
    Wait,
    each_of,
    end_with,
    follow,
)
from innkeeper.cli.guest.layers import check, condition, is_current
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, show_guests
from innkeeper.cli.guest.targets import Names, Target, find
from innkeeper.domain.reasons import ConditionType, GuestReason, Power

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
    targets = [find(asking, name, namespace) for name in names]
    # Of a name that is wrong is told before anything is set.
    found = [asking.get(target.path) for target in targets]
    guests = [_set(asking, power, target, guest) for target, guest in zip(targets, found, strict=True)]
    if timeout_s is None:
        show_guests(guests, output, done="patched")
        return
    deadline = Deadline.after(timeout_s)
    ended, failed = each_of(guests, lambda guest: _followed(asking, power, guest, deadline=deadline))
    if ended:
        show_guests(ended, output, done=_DONE[power])
    end_with(failed)


def _set(asking: Asking, power: Power, target: Target, found: dict[str, Any]) -> dict[str, Any]:
    """Set the power of the very guest that was found; one that was made anew meanwhile is left alone."""
    if found["spec"].get("power", Power.RUNNING) == power:
        return found
    change = {"metadata": {"uid": found["metadata"]["uid"]}, "spec": {"power": power}}
    return asking.patch("guests.innkeeper.dev", target.name, change, namespace=target.namespace)


def _followed(asking: Asking, power: Power, guest: Document, *, deadline: Deadline) -> dict[str, Any]:
    meta = guest["metadata"]
    wanted = GuestReason.STOPPED if power is Power.STOPPED else GuestReason.RUNNING

    def is_over(found: Document) -> bool:
        # What cannot go on says so beside a Ready of no generation, or of an older one: it is looked at first.
        check(found, waits_for_room=False)
        ready = condition(found, ConditionType.READY)
        if not is_current(found, ready):
            return False
        if power is Power.RUNNING and ready["reason"] == GuestReason.COMPLETED:
            name = meta["name"]
            message = f"{name} powered itself off and rests: kubectl guest stop {name}, then start it again"
            raise AskingError(message, code=ExitCode.STALLED)
        return bool(ready["status"] == "True" and ready["reason"] == wanted)

    return follow(
        asking,
        Target(meta["namespace"], meta["name"]).path,
        deadline=deadline,
        told=_progress,
        is_over=is_over,
    )


def _progress(found: Document) -> str:
    ready = condition(found, ConditionType.READY)
    words = ": ".join(word for word in (ready.get("reason"), ready.get("message")) if word)
    return f"{found['metadata']['name']}: {words or 'Pending'}"
