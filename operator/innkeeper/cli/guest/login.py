"""ssh: the system's own ssh, led to the address that the guest is bound to. Its exit code is passed on.

The host key is kept under the Guest ID: an address that another guest had before brings no warning, and a guest that is
taken for another one does.
"""

import os
import shutil
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from innkeeper.cli.guest.asking import Asking, AskingError
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.layers import OFF, condition
from innkeeper.cli.guest.output import Namespace
from innkeeper.cli.guest.targets import Name, find


def ssh(  # noqa: PLR0913 - each option of the command line is a parameter
    context: typer.Context,
    name: Name,
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run there, after --; a shell when left out.")
    ] = None,
    *,
    namespace: Namespace = None,
    user: Annotated[str | None, typer.Option("--login", "-l", help="Who to log in as, as for ssh.")] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", "-i", help="The private key, as for ssh.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="The port.")] = None,
    jump: Annotated[str | None, typer.Option("--jump", "-J", help="The way there, as ssh -J.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="An option, as ssh -o.")] = None,
    interface: Annotated[
        str | None,
        typer.Option("--interface", help="The interface whose address to use.", show_default="the first"),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Try also where the guest is not Ready.")] = False,
) -> None:
    """Log in to a guest, or run a command there."""
    asking: Asking = context.obj
    guest = asking.get(find(asking, name, namespace).path)
    address = _address(guest, interface)
    if not anyway:
        _check_ready(guest)
    program = shutil.which("ssh")
    if program is None:
        raise AskingError("ssh is not on PATH")
    options = {"-l": user, "-i": identity, "-p": port, "-J": jump}
    words = [program, "-o", f"HostKeyAlias=innkeeper-{guest['status']['id']}"]
    words += [word for each in option or [] for word in ("-o", each)]
    words += [str(word) for key, value in options.items() if value is not None for word in (key, value)]
    os.execv(program, [*words, "--", address, *(command or [])])


def _address(guest: dict[str, Any], interface: str | None) -> str:
    name, bound = guest["metadata"]["name"], guest.get("status", {}).get("addresses", [])
    found = [each["address"] for each in bound if interface in (None, each["interface"])]
    if not found:
        which = f" on {interface}" if interface else ""
        raise AskingError(
            f"{name} has no address{which} yet: kubectl guest wait {name} --for=address",
            code=ExitCode.NOT_REACHABLE,
        )
    try:
        return str(ip_address(found[0]))
    except ValueError as error:
        raise AskingError(f"what {name} has is no address: {found[0][:60]!r}") from error


def _check_ready(guest: dict[str, Any]) -> None:
    name, ready = guest["metadata"]["name"], condition(guest, "Ready")
    reason = ready.get("reason", "Pending")
    if ready.get("status") == "True" and reason not in OFF:
        return
    said = ": ".join(word for word in (reason, ready.get("message")) if word)
    raise AskingError(
        f"{name} is not Ready ({said}); wait for it (kubectl guest wait {name}), or say --anyway",
        code=ExitCode.NOT_REACHABLE,
    )
