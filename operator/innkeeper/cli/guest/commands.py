"""The verbs of `kubectl guest`. Explain and list read the query API and print; those that change something lie beside.

Exit codes: 0, 1 where the answer is an error (or, with --exit-code, where no host fits), 2 for wrong usage.
"""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
import yaml

from innkeeper.cli.guest import happened, join_token, operate, orphans, power, tables, written
from innkeeper.cli.guest.asking import BASE, Asking, AskingError, Kubectl
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, dump, say

OLD_S = 75.0  # a watch gives a sign of life each minute, however quiet it is
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def guest(
    context: typer.Context,
    kubeconfig: Annotated[str | None, typer.Option(help="The kubeconfig, as for kubectl.")] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", help="The context, as for kubectl.")
    ] = None,
    impersonate: Annotated[
        str | None, typer.Option("--as", help="Ask as somebody else, as for kubectl.")
    ] = None,
) -> None:
    """Ask about guests, and have something done to them."""
    given = {"kubeconfig": kubeconfig, "context": kube_context, "as": impersonate}
    context.obj = context.obj or Kubectl([f"--{name}={value}" for name, value in given.items() if value])


@app.command()
def explain(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The guest; or give a manifest with -f.")] = None,
    file: Annotated[
        typer.FileText | None,
        typer.Option("--filename", "-f", help="A manifest that is not applied yet; - for standard input."),
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="Only this host; may be given again.")] = None,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
    *,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 where no host fits.")] = False,
) -> None:
    """Show what every scheduling rule says of every host, for a guest or for a manifest."""
    if (name is None) == (file is None):
        raise typer.BadParameter("give the name of a guest, or a manifest with -f")
    asking: Asking = context.obj
    answers = [_whole(asking, path, body) for path, body in _questions(asking, name, file, namespace)]
    for answer in answers:
        if host:
            kept = [each for each in answer["status"]["verdicts"] if each["host"] in host]
            answer["status"]["verdicts"] = kept
    _show_explanations(answers, output)
    if exit_code and any(answer["status"]["chosen"] is None for answer in answers):
        raise typer.Exit(1)


def _questions(
    asking: Asking, name: str | None, file: Any, namespace: str | None
) -> Iterable[tuple[str, dict[str, Any] | None]]:
    if name is not None:
        where = quote(namespace or asking.namespace(), safe="")
        yield f"{BASE}/namespaces/{where}/guestviews/{quote(name, safe='')}/explanation", None
        return
    guests = [
        each for each in yaml.safe_load_all(file) if isinstance(each, dict) and each.get("kind") == "Guest"
    ]
    if not guests:
        raise AskingError("the manifest holds no Guest")
    for each in guests:
        where = namespace or each.get("metadata", {}).get("namespace") or asking.namespace()
        body = {"apiVersion": "query.innkeeper.dev/v1alpha1", "kind": "Explanation", "spec": {"guest": each}}
        yield f"{BASE}/namespaces/{quote(where, safe='')}/explanations", body


def _whole(asking: Asking, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Return an explanation with the verdicts of all pages."""
    answer: dict[str, Any] = {}
    after = ""
    while True:
        asked = f"{path}?{urlencode({'continue': after})}" if after else path
        page = asking.get(asked) if body is None else asking.create(asked, body)
        if answer:
            answer["status"]["verdicts"] += page["status"]["verdicts"]
        else:
            answer = page
        after = page["status"].get("continue", "")
        if not after:
            answer["status"].pop("continue", None)
            return answer


def _show_explanations(answers: list[dict[str, Any]], output: Output) -> None:
    if output in (Output.JSON, Output.YAML):
        dump(answers[0] if len(answers) == 1 else {"kind": "List", "items": answers}, output)
        return
    for at, answer in enumerate(answers):
        if at:
            say("")
        say(tables.summary(answer))
        if answer["status"]["verdicts"] and output is not Output.NAME:
            say("")
            say(tables.verdicts(answer, wide=output is Output.WIDE))


@app.command("list")
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
    limit: Annotated[int, typer.Option(min=0, help="At most so many. (default: all)")] = 0,
    output: OutputOption = Output.TABLE,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of every account.")] = False,
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
        say(tables.guests(items, wide=output is Output.WIDE, namespaces=all_namespaces, now=now))
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


app.command("orphans")(orphans.list_orphans)
app.command()(orphans.adopt)
app.command()(orphans.remove_orphan)
app.command()(join_token.join_token)
for verb in (
    power.start,
    power.stop,
    operate.reboot,
    operate.pause,
    operate.resume,
    happened.events,
    written.logs,
):
    app.command()(verb)


def main() -> None:
    """Run it as `kubectl guest`."""
    try:
        app(prog_name="kubectl guest")
    except AskingError as error:
        say(f"error: {error}", to_error=True)
        sys.exit(1)
