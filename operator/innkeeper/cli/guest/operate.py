"""reboot, pause and resume: each makes a GuestOperation and follows it to its end.

Exit codes are those of `exit_codes`; 1 where an operation failed.
"""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from innkeeper.cli.guest.asking import Asking, AskingError
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
from innkeeper.cli.guest.layers import condition
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, dump, say
from innkeeper.cli.guest.targets import Names, Target, find
from innkeeper.domain.reasons import OperationKind, OperationPhase

_DONE = {
    OperationKind.REBOOT: "rebooted",
    OperationKind.HARD_REBOOT: "rebooted",
    OperationKind.PAUSE: "paused",
    OperationKind.RESUME: "resumed",
}


def reboot(
    context: typer.Context,
    names: Names,
    *,
    namespace: Namespace = None,
    hard: Annotated[bool, typer.Option("--hard", help="Take its power; it is not asked.")] = False,
    wait: Wait = True,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    output: OutputOption = Output.TABLE,
) -> None:
    """Let guests power off and start them again; what does not power off in time loses its power."""
    kind = OperationKind.HARD_REBOOT if hard else OperationKind.REBOOT
    _Operations(context.obj, namespace, output, timeout if wait else None).run(kind, names)


def pause(
    context: typer.Context,
    names: Names,
    *,
    namespace: Namespace = None,
    wait: Wait = True,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    output: OutputOption = Output.TABLE,
) -> None:
    """Have guests stand still; their memory stays, and their hosts forget it when they reboot."""
    _Operations(context.obj, namespace, output, timeout if wait else None).run(OperationKind.PAUSE, names)


def resume(
    context: typer.Context,
    names: Names,
    *,
    namespace: Namespace = None,
    wait: Wait = True,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    output: OutputOption = Output.TABLE,
) -> None:
    """Let paused guests go on."""
    _Operations(context.obj, namespace, output, timeout if wait else None).run(OperationKind.RESUME, names)


class _Operations:
    """One call of the command line: who is asked, and how it is shown. Without a time-out nothing is followed."""

    def __init__(
        self, asking: Asking, namespace: str | None, output: Output, timeout_s: float | None
    ) -> None:
        self._asking = asking
        self._namespace = namespace
        self._output = output
        self._timeout_s = timeout_s

    def run(self, kind: OperationKind, names: list[str]) -> None:
        """Have it done to each guest; all are asked for before the first is followed."""
        targets = [find(self._asking, name, self._namespace) for name in names]
        for target in targets:  # of a name that is wrong is told before anything is made
            self._asking.get(target.path)
        made = [self._create(kind, target) for target in targets]
        ended, failed = self._all_followed(made)
        if ended and self._output in (Output.JSON, Output.YAML):
            dump(ended[0] if len(ended) == 1 else {"kind": "List", "items": ended}, self._output)
        else:
            for each in ended:
                self._show(each)
        end_with(failed)
        if any(each.get("status", {}).get("phase") == OperationPhase.FAILED for each in ended):
            raise typer.Exit(1)

    def _create(self, kind: OperationKind, target: Target) -> dict[str, Any]:
        body = {
            "apiVersion": "innkeeper.dev/v1alpha1",
            "kind": "GuestOperation",
            "metadata": {"generateName": f"{target.name}-{kind.lower()}-"},
            "spec": {"guestName": target.name, "operation": kind},
        }
        return self._asking.create(f"{target.base}/guestoperations", body)

    def _all_followed(self, made: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[AskingError]]:
        if self._timeout_s is None:
            return made, []
        deadline = Deadline.after(self._timeout_s)
        return each_of(made, lambda each: self._followed(each, deadline))

    def _followed(self, made: Document, deadline: Deadline) -> dict[str, Any]:
        meta = made["metadata"]
        base = Target(meta["namespace"], made["spec"]["guestName"]).base
        path = f"{base}/guestoperations/{quote(meta['name'], safe='')}"
        return follow(
            self._asking,
            path,
            deadline=deadline,
            told=_progress,
            is_over=lambda found: _phase(found).is_final,
        )

    def _show(self, found: Document) -> None:
        name, guest = found["metadata"]["name"], found["spec"]["guestName"]
        if self._output is Output.NAME:
            say(f"guestoperation.innkeeper.dev/{name}")
        elif self._timeout_s is None:
            say(f"guestoperation.innkeeper.dev/{name} created")
        elif _phase(found) is OperationPhase.SUCCEEDED:
            say(f"guest.innkeeper.dev/{guest} {_DONE[OperationKind(found['spec']['operation'])]}")
        else:
            ready = condition(found, "Ready")
            say(f"error: {guest}: {ready.get('reason')}: {ready.get('message')}", to_error=True)


def _phase(found: Document) -> OperationPhase:
    return OperationPhase(found.get("status", {}).get("phase") or OperationPhase.PENDING)


def _progress(found: Document) -> str:
    ready = condition(found, "Ready")
    words = ": ".join(word for word in (ready.get("reason"), ready.get("message")) if word)
    return f"{found['spec']['guestName']}: {words or _phase(found)}"
