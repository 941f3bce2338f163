"""`innkeeper operator rebuild`: options of the command, and what it tells people and scripts.

Exit codes: 0 when all that hosts hold is there, 1 when a host was not heard or something could not be made, 2 for wrong
options, 128 and its number when a signal ended it.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.options import Kubeconfig, settings_from
from innkeeper.cli.output import Output, OutputOption


async def run(  # noqa: PLR0913 - each option of the command line is a parameter
    *,
    hosts_file: Annotated[
        Path | None, typer.Option(help="Which hosts there are, and where each is reached (YAML).")
    ] = None,
    snapshot_file: Annotated[
        Path | None,
        typer.Option(help="The snapshot that the operator kept: it names hosts, and where each was reached."),
    ] = None,
    hosts_ca_file: Annotated[Path | None, typer.Option(help="The authority of hosts (PEM).")] = None,
    hosts_certificate_file: Annotated[
        Path | None,
        typer.Option(help="The certificate that hosts are shown (PEM, common name innkeeper-operator)."),
    ] = None,
    hosts_key_file: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    order_key_file: Annotated[
        Path | None,
        typer.Option(
            help="The key that signed the orders (32 bytes, raw or base64).",
            show_default="the operator's Secret",
        ),
    ] = None,
    previous_order_key_file: Annotated[
        Path | None, typer.Option(help="The key before that one, while keys change.")
    ] = None,
    order_public_key: Annotated[
        list[str] | None,
        typer.Option(
            help="A public key whose orders count too, as base64; may be given again. Join files hold it."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="A host that is lost for good: it is not asked. May be given again."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is missing, and write nothing.")
    ] = False,
    output: OutputOption = Output.TEXT,
    namespace: Annotated[
        str | None, typer.Option(help="Where the operator's Lease lies.", show_default="innkeeper-system")
    ] = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Make the API server's objects anew from what hosts hold: nothing restarts, and every address stays.

    Run it with the operator's own kubeconfig, in a new API server with Innkeeper's CRDs and rights; it waits until no
    operator holds the Lease. In one that has objects it adds what is missing and changes nothing. It may be ended
    anywhere and run again. Options that the operator has too may come from the same environment.
    """
    options = dict(locals())
    from innkeeper.cli.rebuild_told import Telling
    from innkeeper.clock import SystemClock
    from innkeeper.kube.client import Client
    from innkeeper.kube.credentials import Credentials
    from innkeeper.processes.rebuild import RebuildCommand, RebuildWish
    from innkeeper.settings import OperatorSettings
    from innkeeper.telemetry import logs
    from innkeeper.telemetry.logs import LogFormat, LogLevel

    own = ("order_public_key", "without", "dry_run", "output")
    settings = settings_from(
        OperatorSettings, {name: value for name, value in options.items() if name not in own}
    )
    logs.configure(form=LogFormat.CONSOLE, level=LogLevel.ERROR, process="operator rebuild")
    wish = RebuildWish(
        without=frozenset(without or ()), public_keys=tuple(order_public_key or ()), dry_run=dry_run
    )
    telling = Telling(sys.stderr)
    async with Client(Credentials.load(settings.kubeconfig)) as client:
        outcome = await RebuildCommand(
            settings,
            wish,
            client=client,
            clock=SystemClock(),
            say=telling.say,
            progress=telling.progress,
        ).run()
    telling.end()
    sys.stdout.write(
        telling.as_json(outcome, wish) if output is Output.JSON else telling.as_text(outcome, wish)
    )
    telling.complain(outcome)
