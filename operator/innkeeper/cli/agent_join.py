"""`innkeeper agent join`: this machine becomes a host, by the line that `kubectl guest join-token` printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.at_host import STATE_DIR, StateDir
from innkeeper.errors import TerminalError

_MAX_READ = 256 * 1024


async def run(
    *,
    token: Annotated[
        str | None,
        typer.Option(help="The join token. Others on this machine may see it here: rather a file."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="The file that holds the join token; - for standard input.")
    ] = None,
    join_file: Annotated[Path, typer.Option(help="The join file to write.")] = Path(
        "/etc/innkeeper/join.json"
    ),
    state_dir: StateDir = STATE_DIR,
    replace: Annotated[
        bool, typer.Option("--replace", help="Join although this machine joined as another host before.")
    ] = False,
) -> None:
    """Make this machine a host: exchange a join token for an identity of its own, and write the join file.

    It may be run again, also while the agent runs: with a new join token the host gets a new identity token.
    """
    from innkeeper.agent.joining import string
    from innkeeper.agent.joining.join import Places, join
    from innkeeper.clock import SystemClock, rfc3339

    given = string.decode(_text(token, token_file))
    places = Places(
        join_file=join_file,
        token_file=state_dir / "identity" / "host.token",
        hosts_ca_file=join_file.parent / "hosts-ca.crt",
    )
    own = await join(given, places, clock=SystemClock(), replace=replace)
    by_hand = f"innkeeper agent --join-file {join_file} --state-dir {state_dir}"
    sys.stderr.write(
        f"This machine is the host {given.host}. Its token is good until {rfc3339(own.expires)}; the agent renews it.\n"
        f"Next: systemctl enable --now innkeeper-agent, or: {by_hand}\n"
    )


def _text(token: str | None, token_file: Path | None) -> str:
    if (token is None) == (token_file is None):
        raise typer.BadParameter(
            "give the join token with --token-file FILE (- for standard input), or with --token"
        )
    if token is not None:
        return token
    try:
        if str(token_file) == "-":
            return sys.stdin.read(_MAX_READ)
        with Path(str(token_file)).open() as file:
            return file.read(_MAX_READ)
    except (OSError, UnicodeDecodeError) as error:
        raise TerminalError(f"the join token cannot be read: {error}") from error
