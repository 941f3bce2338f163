"""explain: what every scheduling rule says of every host, for a guest or for a manifest that is not applied yet."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
import yaml

from innkeeper.cli.guest import tables
from innkeeper.cli.guest.asking import BASE, Asking
from innkeeper.cli.guest.completion import guest_names
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, dump, print_lines, say
from innkeeper.cli.guest.targets import find

MAX_MANIFEST = 4 * 1024 * 1024


def explain(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The guest; or give a manifest with -f.", autocompletion=guest_names)
    ] = None,
    file: Annotated[
        typer.FileText | None,
        typer.Option("--filename", "-f", help="A manifest that is not applied yet; - for standard input."),
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="Only this host; may be given again.")] = None,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
    *,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="End with 1 where no host fits, or something else is in the way."),
    ] = False,
) -> None:
    """Show what every scheduling rule says of every host, for a guest or for a manifest."""
    if (name is None) == (file is None):
        raise typer.BadParameter("give the name of a guest, or a manifest with -f")
    asking: Asking = context.obj
    questions = _questions(asking, name, file, namespace)
    answers = [_whole(asking, path, body, hosts=host or []) for path, body in questions]
    _show_explanations(answers, output)
    if exit_code and any(_goes_nowhere(answer["status"]) for answer in answers):
        raise typer.Exit(1)


def _questions(
    asking: Asking, name: str | None, file: Any, namespace: str | None
) -> Iterable[tuple[str, dict[str, Any] | None]]:
    if name is not None:
        yield f"{find(asking, name, namespace).view}/explanation", None
        return
    for each in _guests_of(file):
        where = namespace or (each.get("metadata") or {}).get("namespace") or asking.namespace()
        body = {"apiVersion": "query.innkeeper.dev/v1alpha1", "kind": "Explanation", "spec": {"guest": each}}
        yield f"{BASE}/namespaces/{quote(where, safe='')}/explanations", body


def _guests_of(file: Any) -> list[dict[str, Any]]:
    """Return the Guests of a manifest, also those inside a List, as `kubectl get -o yaml` writes one."""
    try:
        text = file.read(MAX_MANIFEST + 1)
        documents = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except (ValueError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"the manifest cannot be read: {error}") from error
    if len(text) > MAX_MANIFEST:
        raise typer.BadParameter(f"the manifest is longer than {MAX_MANIFEST} characters")
    listed = [each.get("items") or [] if each.get("kind") == "List" else [each] for each in documents]
    guests = [
        each for items in listed for each in items if isinstance(each, dict) and each.get("kind") == "Guest"
    ]
    if not guests:
        raise typer.BadParameter("the manifest holds no Guest")
    return guests


def _whole(asking: Asking, path: str, body: dict[str, Any] | None, *, hosts: Sequence[str]) -> dict[str, Any]:
    """Return an explanation with the verdicts of all pages: hosts that fit first, the best first, the others by name."""
    answer: dict[str, Any] = {}
    after = ""
    while True:
        query = urlencode([*(("host", each) for each in hosts), *([("continue", after)] if after else [])])
        asked = f"{path}?{query}" if query else path
        page = asking.get(asked) if body is None else asking.create(asked, body)
        if answer:
            answer["status"]["verdicts"] += page["status"]["verdicts"]
        else:
            answer = page
        after = page["status"].get("continue", "")
        if not after:
            answer["status"].pop("continue", None)
            answer["status"]["verdicts"].sort(key=_place)
            return answer


def _place(verdict: dict[str, Any]) -> tuple[bool, float, str]:
    return bool(verdict["failures"]), -(verdict["total"] or 0.0), verdict["host"]


def _goes_nowhere(status: dict[str, Any]) -> bool:
    return status["chosen"] is None or status["blocked"] is not None


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
            print_lines(tables.verdicts(answer, wide=output is Output.WIDE))
