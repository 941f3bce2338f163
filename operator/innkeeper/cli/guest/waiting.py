"""Waits until a guest has come to a layer, and tells each step with its time: `wait`, and `create --wait`."""

import time
from typing import Annotated, Any

import typer

from innkeeper.cli.guest import layers
from innkeeper.cli.guest.asking import Asking, AskingError
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.following import (
    POLL_S,
    SHORTEST_POLL_S,
    TIMEOUT,
    Deadline,
    Timeout,
    each_of,
    end_with,
    look,
)
from innkeeper.cli.guest.layers import Layer
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, show_guests
from innkeeper.cli.guest.progress import Progress, progress
from innkeeper.cli.guest.targets import Names, Target, find
from innkeeper.domain.reasons import ConditionType

WaitForRoom = Annotated[
    bool, typer.Option("--wait-for-room", help="Go on waiting while no host fits or no address is free.")
]


def wait(
    context: typer.Context,
    names: Names,
    *,
    layer: Annotated[
        Layer, typer.Option("--for", help="How far: image, host, address, running or ready.")
    ] = Layer.READY,
    namespace: Namespace = None,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    wait_for_room: WaitForRoom = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Wait until guests have come to a layer.

    It ends with 3 where they have not in time, with 4 where they cannot, and with 5 where one is deleted.
    """
    asking: Asking = context.obj
    deadline = Deadline.after(timeout)
    waiting = Waiting(asking, layer, waits_for_room=wait_for_room)
    targets = [find(asking, name, namespace) for name in names]
    found, failed = each_of(targets, lambda target: waiting.until(target, deadline=deadline))
    if found:
        show_guests(found, output, done=f"reached {layer}")
    end_with(failed)


class Waiting:
    """Waits for one layer of any guest."""

    def __init__(self, asking: Asking, layer: Layer, *, waits_for_room: bool) -> None:
        self._asking = asking
        self._layer = layer
        self._waits_for_room = waits_for_room

    def until(self, target: Target, *, deadline: Deadline, uid: str | None = None) -> dict[str, Any]:
        """Return the guest once it is there; with `uid` no other guest of that name counts.

        Raises:
            AskingError: it is not there in time, cannot go on, or was deleted; the code says which.
        """
        began = time.monotonic()
        with progress() as shown:
            while True:
                found = self._look(target, uid, deadline)
                if found is not None:
                    uid = uid or found["metadata"]["uid"]
                    if self._is_there(found, shown, time.monotonic() - began):
                        return found
                    if deadline.is_over:
                        raise AskingError(
                            f"{target.name} has not reached {self._layer} within {deadline.patience_s:.0f} s: "
                            f"{layers.told(found)}",
                            code=ExitCode.TIMED_OUT,
                        )
                self._asking.rest(min(POLL_S, max(SHORTEST_POLL_S, deadline.left_s)))

    def _look(self, target: Target, uid: str | None, deadline: Deadline) -> dict[str, Any] | None:
        """Return the guest, or None where nobody answers just now."""
        found = look(self._asking, target.path, is_known=uid is not None, is_late=deadline.is_over)
        if found is not None and uid is not None and found["metadata"]["uid"] != uid:
            raise AskingError(f"{target.name} was deleted and made anew", code=ExitCode.DELETED)
        return found

    def _is_there(self, guest: dict[str, Any], shown: Progress, at_s: float) -> bool:
        now = layers.reached(guest)
        done = min(now.number if now else 0, self._layer.number)
        text = f"{guest['metadata']['name']}: {layers.told(guest)}"
        step = f"{now} {layers.condition(guest, ConditionType.READY).get('reason')}"
        shown.tell(text, step=step, at_s=at_s, done=done, of=self._layer.number)
        if layers.is_reached(guest, self._layer):
            return True
        layers.check(guest, waits_for_room=self._waits_for_room)
        return False
