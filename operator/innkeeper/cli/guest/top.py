"""top: how much processor and memory guests take now, as their hosts say, and the share of what they were promised."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from innkeeper.cli.guest import tables
from innkeeper.cli.guest.asking import BASE, Asking, AskingError
from innkeeper.cli.guest.completion import guest_names
from innkeeper.cli.guest.following import each_of, end_with
from innkeeper.cli.guest.output import AllNamespaces, Namespace, Output, OutputOption, dump, print_lines, say
from innkeeper.cli.guest.targets import find


class By(StrEnum):
    """What comes first."""

    NAME = "name"
    CPU = "cpu"
    MEMORY = "memory"


_FIGURES = {By.CPU: "cpuMillis", By.MEMORY: "memoryBytes"}


def top(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Guests: names or URNs; all when left out.", autocompletion=guest_names),
    ] = None,
    *,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    sort_by: Annotated[By, typer.Option(help="cpu or memory, the greatest first; or name.")] = By.NAME,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how much processor and memory guests take, asked of their hosts now; hosts that do not answer are named.

    Where guests are named and one cannot be told, the others are shown, and it ends with 1.
    """
    asking: Asking = context.obj
    missing: list[dict[str, Any]] = []
    failed: list[AskingError] = []
    if names:
        items, failed = each_of(names, lambda name: asking.get(f"{find(asking, name, namespace).view}/usage"))
    else:
        where = "" if all_namespaces else f"/namespaces/{quote(namespace or asking.namespace(), safe='')}"
        items, missing = _listed(asking, f"{BASE}{where}/guestusages")
    items.sort(key=lambda each: _place(each, sort_by))
    if output in (Output.JSON, Output.YAML):
        dump({"kind": "GuestUsageList", "items": items, "missing": missing}, output)
    elif output is Output.NAME:
        for each in items:
            say(f"guest.innkeeper.dev/{each['metadata']['name']}")
    elif items:
        print_lines(tables.usage(items, wide=output is Output.WIDE, namespaces=all_namespaces))
    elif not (missing or failed):
        say("no guests found", to_error=True)
    for each in missing:
        say(f"{each['guests']} guests are left out: {each['message']}", to_error=True)
    end_with(failed)
    if missing and not items:
        raise AskingError("no host answered")


def _listed(asking: Asking, path: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    items: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    after = ""
    while True:
        page = asking.get(f"{path}?{urlencode({'continue': after})}" if after else path)
        items += page["items"]
        missing += page["missing"]
        after = page["metadata"].get("continue", "")
        if not after:
            return items, missing


def _place(usage: dict[str, Any], by: By) -> tuple[int, str, str]:
    meta, figure = usage["metadata"], _FIGURES.get(by)
    return (-usage["status"][figure] if figure else 0, meta["namespace"], meta["name"])
