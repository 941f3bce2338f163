"""list: guests from the operator's memory, filtered and sorted there."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from innkeeper.cli.guest import tables
from innkeeper.cli.guest.asking import BASE, Asking
from innkeeper.cli.guest.output import AllNamespaces, Namespace, Output, OutputOption, dump, print_lines, say

OLD_S = 75.0  # a watch gives a sign of life each minute, however quiet it is


def list_guests(  # noqa: PLR0913 - each option of the command line is a parameter
    context: typer.Context,
    *,
    namespace: Namespace = None,
    selector: Annotated[
        str | None, typer.Option("--selector", "-l", help="Labels, as for kubectl get.")
    ] = None,
    field_selector: Annotated[str | None, typer.Option(help="Fields, such as spec.power=Stopped.")] = None,
    host: Annotated[str | None, typer.Option(help="Only guests on this host.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Only guests in this cluster.")] = None,
    sort_by: Annotated[
        str,
        typer.Option(
            help="name, namespace, age, priority, host, cluster, ready or reason; -age for the reverse."
        ),
    ] = "namespace",
    limit: Annotated[int, typer.Option(min=0, help="At most so many.", show_default="all")] = 0,
    output: OutputOption = Output.TABLE,
    all_namespaces: AllNamespaces = False,
    not_ready: Annotated[bool, typer.Option("--not-ready", help="Only guests that are not ready.")] = False,
) -> None:
    """List guests from the operator's memory: filtered, sorted, and as old as it says."""
    asking: Asking = context.obj
    wanted = [field_selector] if field_selector else []
    wanted += [f"status.host={host}"] if host else []
    wanted += [f"status.cluster={cluster}"] if cluster else []
    wanted += ["status.ready!=True"] if not_ready else []
    query = {"labelSelector": selector or "", "fieldSelector": ",".join(wanted), "sortBy": sort_by}
    where = "" if all_namespaces else f"/namespaces/{quote(namespace or asking.namespace(), safe='')}"
    items, age_s = _items(asking, f"{BASE}{where}/guestviews", query, limit)
    if output in (Output.JSON, Output.YAML):
        dump({"kind": "GuestViewList", "viewAgeSeconds": age_s, "items": items}, output)
    elif output is Output.NAME:
        for each in items:
            say(f"guest.innkeeper.dev/{each['metadata']['name']}")
    elif items:
        now = datetime.now(UTC)
        print_lines(tables.guests(items, wide=output is Output.WIDE, namespaces=all_namespaces, now=now))
    else:
        say("no guests found", to_error=True)
    if age_s > OLD_S:
        say(
            f"this view is {age_s:.0f} s old: the operator hears nothing new from the API server",
            to_error=True,
        )


def _items(
    asking: Asking, path: str, query: dict[str, str], limit: int
) -> tuple[list[dict[str, Any]], float]:
    items: list[dict[str, Any]] = []
    after, age_s = "", 0.0
    while True:
        asked = {key: value for key, value in {**query, "continue": after}.items() if value}
        asked |= {"limit": str(limit - len(items))} if limit else {}
        page = asking.get(f"{path}?{urlencode(asked)}")
        items += page["items"]
        age_s = max(age_s, page["viewAgeSeconds"])
        after = page["metadata"].get("continue", "")
        if not after or (limit and len(items) >= limit):
            return items, age_s
