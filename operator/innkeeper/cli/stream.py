"""`innkeeper stream`: options of the streaming process."""

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.options import Kubeconfig, LogFormatOption, LogLevelOption, settings_from


async def run(  # noqa: PLR0913 - each option of the command line is a parameter
    *,
    directory: Annotated[
        Path | None, typer.Option(help="Where images lie.", show_default="/var/lib/innkeeper/images")
    ] = None,
    join_file: Annotated[Path | None, typer.Option(help="The agent's join file.")] = None,
    kubeconfig: Kubeconfig = None,
    images_ca_file: Annotated[
        Path | None, typer.Option(help="The authority of the image server's certificate (PEM).")
    ] = None,
    fill_mib_s: Annotated[
        float | None,
        typer.Option(
            help="How fast the rest of images may come, in MiB/s; 0 is no limit.", show_default="32"
        ),
    ] = None,
    qemu_group: Annotated[
        str | None,
        typer.Option(
            help="The group that QEMU runs in.", show_default="libvirt-qemu or qemu, where there is one"
        ),
    ] = None,
    idle_s: Annotated[
        float | None,
        typer.Option(
            help="Seconds without an image to serve after which it ends; 0 is never.", show_default="10"
        ),
    ] = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Serve images to the guests of one host while they arrive. The agent starts it when a guest needs it.

    It outlives the agent, and ends by itself when no guest reads from it any more. With --idle-s 0 it never ends: that
    is for who starts it instead of the agent (`innkeeper agent --streams external`).
    """
    options = dict(locals())
    from innkeeper.agent.streaming.process import run_stream
    from innkeeper.agent.streaming.settings import StreamSettings

    await run_stream(settings_from(StreamSettings, options))
