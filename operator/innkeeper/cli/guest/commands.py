"""`kubectl guest`: its verbs put together. What each of them does lies beside; `exit_codes` says how it ends."""

import sys
from typing import Annotated

import typer

from innkeeper.cli.guest import (
    completion,
    create,
    explaining,
    happened,
    join_token,
    listing,
    login,
    operate,
    orphans,
    power,
    show,
    top,
    waiting,
    written,
)
from innkeeper.cli.guest.asking import AskingError, Kubectl
from innkeeper.cli.guest.connection import Impersonate, Kubeconfig, KubeContext, connected, words_of
from innkeeper.cli.guest.output import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_VERBS = (
    explaining.explain,
    show.get,
    create.create,
    waiting.wait,
    login.ssh,
    top.top,
    power.start,
    power.stop,
    operate.reboot,
    operate.pause,
    operate.resume,
    happened.events,
    written.logs,
    orphans.adopt,
    orphans.remove_orphan,
    join_token.join_token,
)


@app.callback()
def guest(
    context: typer.Context,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    impersonate: Impersonate = None,
    namespace: Annotated[  # noqa: ARG001 - each verb that has a namespace takes it from here: see `connected`
        str | None, typer.Option("--namespace", "-n", help="The namespace, as for kubectl.")
    ] = None,
) -> None:
    """Make guests, ask about them, log in to them, and have something done to them."""
    words = words_of({"kubeconfig": kubeconfig, "kube_context": kube_context, "impersonate": impersonate})
    context.obj = context.obj or Kubectl(words)


app.command("list")(connected(listing.list_guests))
app.command("orphans")(connected(orphans.list_orphans))
for verb in _VERBS:
    app.command()(connected(verb))
app.command()(completion.completion)
app.command(hidden=True)(completion.complete_words)


def main() -> None:
    """Run it as `kubectl guest`."""
    completion.answer_shell(app)
    try:
        app(prog_name="kubectl guest")
    except AskingError as error:
        say(f"error: {error}", to_error=True)
        sys.exit(error.code)
