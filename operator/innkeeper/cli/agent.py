"""`innkeeper agent`: options of the agent's process."""

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


async def run(  # noqa: PLR0913 - each option of the command line is a parameter
    *,
    join_file: Annotated[
        Path | None, typer.Option(help="What this host joins with: host, API server, token, order keys.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    host: Annotated[str | None, typer.Option(help="The host's name, where there is no join file.")] = None,
    order_key_file: Annotated[
        list[Path] | None,
        typer.Option(
            help="A public key of orders (base64), where there is no join file; may be given again."
        ),
    ] = None,
    node_name: Annotated[
        str | None,
        typer.Option(
            help="The node that this pod runs on, which is the host's name; in place of a join file."
        ),
    ] = None,
    node_token_file: Annotated[
        Path | None, typer.Option(help="The token of this pod.", show_default="its service account's")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Where guests and the database lie.", show_default="/var/lib/innkeeper"),
    ] = None,
    driver: Annotated[
        str | None, typer.Option(help="libvirt, or simulated, which runs no guest.", show_default="libvirt")
    ] = None,
    libvirt_uri: Annotated[
        str | None, typer.Option(help="Where libvirt listens.", show_default="qemu:///system")
    ] = None,
    images_ca_file: Annotated[
        Path | None, typer.Option(help="The authority of the image server's certificate (PEM).")
    ] = None,
    image_fill_mib_s: Annotated[
        float | None,
        typer.Option(help="MiB/s that the rest of images may come at; 0 is no limit.", show_default="32"),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(
            help="Who starts and ends `innkeeper stream`: own is the agent, external somebody else.",
            show_default="own",
        ),
    ] = None,
    tools_user: Annotated[
        str | None,
        typer.Option(help="Who QEMU's tools run as, where the agent is root.", show_default="nobody"),
    ] = None,
    qemu_group: Annotated[
        str | None,
        typer.Option(
            help="The group that QEMU runs in.", show_default="libvirt-qemu or qemu, where there is one"
        ),
    ] = None,
    stop_grace_s: Annotated[
        float | None, typer.Option(help="Seconds a guest may take to power itself off.", show_default="60")
    ] = None,
    max_builds: Annotated[
        int | None, typer.Option(help="How many guests are built at once.", show_default="4")
    ] = None,
    api_listen: Annotated[
        str | None, typer.Option(help="The address of the host API.", show_default="127.0.0.1")
    ] = None,
    api_port: Annotated[
        int | None, typer.Option(help="The port of the host API; 0 is any.", show_default="9104")
    ] = None,
    api_certificate_file: Annotated[
        Path | None,
        typer.Option(
            help="The host API's certificate (PEM), with the host's name; else the operator is asked for one."
        ),
    ] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    api_ca_file: Annotated[
        Path | None,
        typer.Option(
            help="The authority of the operator's certificate (PEM); without it no host API is served."
        ),
    ] = None,
    api_address: Annotated[
        str | None,
        typer.Option(
            help="Where the operator reaches the host API: host or host:port.",
            show_default="where it listens",
        ),
    ] = None,
    api_grace_s: Annotated[
        float | None,
        typer.Option(
            help="Seconds that guests which are off wait for newer orders after a start.", show_default="30"
        ),
    ] = None,
    backup_directory: Annotated[
        Path | None, typer.Option(help="Copy the database into this directory, which must be there.")
    ] = None,
    backup_url: Annotated[
        str | None,
        typer.Option(help="Copy it to s3://BUCKET/PREFIX instead; AWS_* variables say how that is reached."),
    ] = None,
    backup_every_s: Annotated[
        float | None, typer.Option(help="The shortest time between two backups.", show_default="300")
    ] = None,
    backup_keep: Annotated[
        int | None, typer.Option(help="How many backups of this host are kept.", show_default="24")
    ] = None,
    listen: Listen = None,
    metrics_port: Annotated[int | None, metrics_port_option(9103)] = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Run the agent of one host: it starts and stops the guests that it was ordered to run.

    Guests outlive it, and run on while the API server is away. Each option may also come from the environment, as
    INNKEEPER_AGENT_STATE_DIR for --state-dir.
    """
    options = {name: value for name, value in locals().items() if value != []}
    from innkeeper.agent.process import run_agent
    from innkeeper.agent.settings import AgentSettings

    await run_agent(settings_from(AgentSettings, options))
