"""`innkeeper operator`: options of the operator's process."""

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.options import (
    Kubeconfig,
    Listen,
    LogFormatOption,
    LogLevelOption,
    metrics_port_option,
    settings_from,
)
from innkeeper.domain.reasons import OrphanPolicy
from innkeeper.domain.rebuild.gate import RebuildPolicy


async def run(  # noqa: PLR0913 - each option of the command line is a parameter
    *,
    kubeconfig: Kubeconfig = None,
    images_url: Annotated[
        str | None,
        typer.Option(
            help="The image server, as the operator and the hosts reach it.",
            show_default="http://127.0.0.1:8090/",
        ),
    ] = None,
    images_ca_file: Annotated[
        Path | None, typer.Option(help="The authority of the image server's certificate (PEM).")
    ] = None,
    order_key_file: Annotated[
        Path | None,
        typer.Option(
            help="The key that signs orders (32 bytes, raw or base64).",
            show_default="a Secret, made when absent",
        ),
    ] = None,
    previous_order_key_file: Annotated[
        Path | None,
        typer.Option(help="While keys change: the key before that one, which endorses it."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(help="Where the Lease and the order key lie.", show_default="innkeeper-system"),
    ] = None,
    identity: Annotated[
        str | None, typer.Option(help="This process's name in the Lease.", show_default="made up")
    ] = None,
    leader_election: Annotated[
        bool | None,
        typer.Option(
            "--leader-election/--no-leader-election",
            help="Work only while the Lease is held.",
            show_default="leader-election",
        ),
    ] = None,
    host_silence_s: Annotated[
        float | None,
        typer.Option(
            help="Seconds after which a host that is not heard counts as silent.", show_default="40"
        ),
    ] = None,
    image_recheck_s: Annotated[
        float | None,
        typer.Option(
            help="Every how many seconds to look whether the source of a Ready image changed.",
            show_default="300",
        ),
    ] = None,
    snapshot_file: Annotated[
        Path | None,
        typer.Option(help="Where to keep what is known, so that the next start need not list all of it."),
    ] = None,
    query_listen: Annotated[
        str | None, typer.Option(help="The address of the query API.", show_default="every address")
    ] = None,
    query_port: Annotated[
        int | None, typer.Option(help="The port of the query API.", show_default="9443")
    ] = None,
    query_certificate_file: Annotated[
        Path | None, typer.Option(help="The query API's certificate (PEM); without one it is not served.")
    ] = None,
    query_key_file: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    hosts_ca_file: Annotated[
        Path | None,
        typer.Option(help="The authority of hosts (PEM); without it no host is asked what it holds."),
    ] = None,
    hosts_certificate_file: Annotated[
        Path | None,
        typer.Option(help="The certificate that hosts are shown (PEM, common name innkeeper-operator)."),
    ] = None,
    hosts_key_file: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    hosts_ca_key_file: Annotated[
        Path | None, typer.Option(help="The key of hosts' authority (PEM): sign the certificates of hosts.")
    ] = None,
    hosts_file: Annotated[
        Path | None,
        typer.Option(help="Where hosts are reached of which the API server does not say it (YAML)."),
    ] = None,
    rebuild: Annotated[
        RebuildPolicy | None,
        typer.Option(
            help="In a new API server, while the hosts file or a snapshot of the one before names hosts: wait for "
            "`innkeeper operator rebuild`, do it, or lead at once.",
            show_default="Manual",
        ),
    ] = None,
    orphan_policy: Annotated[
        OrphanPolicy | None,
        typer.Option(
            help="What becomes of guests that hosts hold and that have no Guest.", show_default="Keep"
        ),
    ] = None,
    listen: Listen = None,
    metrics_port: Annotated[int | None, metrics_port_option(9101)] = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Run the operator: it places guests, assigns addresses, signs orders, and reports.

    Several may run at once: one works, the others keep their view warm. Each option may also come from the
    environment, as INNKEEPER_IMAGES_URL for --images-url.
    """
    options = dict(locals())
    from innkeeper.processes.operator import run_operator
    from innkeeper.settings import OperatorSettings

    await run_operator(settings_from(OperatorSettings, options))
