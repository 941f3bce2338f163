"""`innkeeper doctor`: what stands between this machine and its guests, and what to do about it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from innkeeper.cli.at_host import STATE_DIR, StateDir
from innkeeper.cli.output import Output, OutputOption
from innkeeper.errors import TerminalError

if TYPE_CHECKING:
    from innkeeper.agent.doctor.finding import Result


async def run(  # noqa: PLR0913 - each option of the command line is a parameter
    *,
    join_file: Annotated[
        Path, typer.Option(help="The join file, if there is one.", envvar="INNKEEPER_AGENT_JOIN_FILE")
    ] = Path("/etc/innkeeper/join.json"),
    state_dir: StateDir = STATE_DIR,
    libvirt_uri: Annotated[
        str, typer.Option(help="Where libvirt listens.", envvar="INNKEEPER_AGENT_LIBVIRT_URI")
    ] = "qemu:///system",
    images_url: Annotated[
        str | None, typer.Option(help="The image server.", show_default="the one of a guest's order")
    ] = None,
    images_ca_file: Annotated[
        Path | None,
        typer.Option(help="The image server's authority (PEM).", envvar="INNKEEPER_AGENT_IMAGES_CA_FILE"),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="The address of /metrics.", envvar="INNKEEPER_AGENT_LISTEN")
    ] = "127.0.0.1",
    metrics_port: Annotated[
        int, typer.Option(help="The port of /metrics.", envvar="INNKEEPER_AGENT_METRICS_PORT")
    ] = 9103,
    api_listen: Annotated[
        str, typer.Option(help="The address of the host API.", envvar="INNKEEPER_AGENT_API_LISTEN")
    ] = "127.0.0.1",
    api_port: Annotated[
        int, typer.Option(help="The port of the host API.", envvar="INNKEEPER_AGENT_API_PORT")
    ] = 9104,
    output: OutputOption = Output.TEXT,
) -> None:
    """Look at this machine as its agent would find it, joined or not, and say what to do. Nothing is changed.

    Options are the agent's, also from its environment. Exit code: 0, or 1 where something keeps guests from running.
    """
    from innkeeper.agent.doctor.finding import Verdict
    from innkeeper.agent.doctor.look import Machine
    from innkeeper.agent.doctor.registry import examine
    from innkeeper.agent.paths import StatePaths
    from innkeeper.clock import SystemClock
    from innkeeper.telemetry import logs
    from innkeeper.telemetry.logs import LogFormat, LogLevel

    logs.configure(form=LogFormat.CONSOLE, level=LogLevel.ERROR, process="doctor")
    machine = Machine(
        join_file=join_file,
        paths=StatePaths(state_dir),
        libvirt_uri=libvirt_uri,
        clock=SystemClock(),
        images_url=images_url,
        images_ca_file=images_ca_file,
        listen=(("metrics", listen, metrics_port), ("host API", api_listen, api_port)),
    )
    results = await examine(machine)
    _show(results, output)
    if failed := [each.check for each in results if each.finding.verdict is Verdict.FAIL]:
        raise TerminalError(f"no guest runs here for long before this is put right: {', '.join(failed)}")


def _show(results: "Sequence[Result]", output: Output) -> None:
    if output is Output.JSON:
        found = [
            {
                "check": each.check,
                "verdict": each.finding.verdict,
                "seen": each.finding.seen,
                "todo": each.finding.todo,
            }
            for each in results
        ]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    width = max(len(each.check) for each in results)
    for each in results:
        sys.stdout.write(f"{each.finding.verdict:<5} {each.check:<{width}}  {each.finding.seen}\n")
        if each.finding.todo:
            sys.stdout.write(f"{'':<5} {'':<{width}}  -> {each.finding.todo}\n")
