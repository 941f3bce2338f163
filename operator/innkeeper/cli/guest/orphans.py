"""The verbs of `kubectl guest` about orphans: guests that hosts hold and that have no Guest object.

The query API is asked, and writes down what the person says; nothing else is changed from here.
"""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from innkeeper.cli.guest import tables
from innkeeper.cli.guest.asking import BASE, Asking
from innkeeper.cli.guest.output import AllNamespaces, Namespace, Output, OutputOption, dump, print_lines, say
from innkeeper.cli.guest.targets import URN

GuestId = Annotated[str, typer.Argument(help="The Guest ID or the URN, as `kubectl guest orphans` shows it.")]


def list_orphans(
    context: typer.Context,
    *,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List guests that hosts hold and that have no Guest: they run on until somebody adopts or removes them."""
    asking: Asking = context.obj
    where = "" if all_namespaces else f"/namespaces/{quote(namespace or asking.namespace(), safe='')}"
    items = asking.get(f"{BASE}{where}/orphans")["items"]
    if output in (Output.JSON, Output.YAML):
        dump({"kind": "OrphanList", "items": items}, output)
    elif output is Output.NAME:
        for each in items:
            say(f"orphan.query.innkeeper.dev/{each['metadata']['name']}")
    elif items:
        print_lines(tables.orphans(items, wide=output is Output.WIDE, now=datetime.now(UTC)))
    else:
        say("no orphans found", to_error=True)


def adopt(
    context: typer.Context,
    guest_id: GuestId,
    *,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make the Guest of an orphan anew, from the order that its host holds; it runs on with its addresses."""
    told = _say_word(context, guest_id, namespace, "adoption")
    _show(told, output, f"guest.innkeeper.dev/{told['status']['guest']} adopted")


def remove_orphan(
    context: typer.Context,
    guest_id: GuestId,
    *,
    namespace: Namespace = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it: the guest and its disk are destroyed for good.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Destroy an orphan on its host, and free its addresses."""
    if not yes:
        raise typer.BadParameter(f"the guest {guest_id} and its disk would be destroyed for good: say --yes")
    told = _say_word(context, guest_id, namespace, "removal")
    status = told["status"]
    _show(told, output, f"{status['guest']} ({guest_id}) is being removed from host {status['host']}")


def _say_word(context: typer.Context, guest_id: str, namespace: str | None, word: str) -> dict[str, Any]:
    asking: Asking = context.obj
    where = quote(namespace or asking.namespace(), safe="")
    path = f"{BASE}/namespaces/{where}/orphans/{quote(guest_id.removeprefix(URN), safe='')}/{word}"
    return asking.create(path, {"apiVersion": "query.innkeeper.dev/v1alpha1", "kind": "Orphan"})


def _show(told: dict[str, Any], output: Output, done: str) -> None:
    if output in (Output.JSON, Output.YAML):
        dump(told, output)
    elif output is Output.NAME:
        say(f"orphan.query.innkeeper.dev/{told['metadata']['name']}")
    else:
        say(done)
