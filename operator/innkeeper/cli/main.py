"""`innkeeper`: the command that starts every process.

A command's module is imported only when that command runs: the agent never loads kopf, the operator never loads
libvirt. Each module has a coroutine `run`, whose parameters are the options.
"""

import asyncio
import json
import platform
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from innkeeper import __version__
from innkeeper.cli.output import Output, OutputOption
from innkeeper.cli.running import command_of
from innkeeper.event_loop import EventLoop

COMMANDS = {
    "operator": "Run the operator: it places guests, assigns addresses, signs orders, and reports.",
    "images": "Run the image server: it checks images and serves their bytes to hosts.",
    "agent": "Run the agent of one host: it starts and stops the guests that it was ordered to run.",
    "doctor": "Look at a machine as its agent would find it, and say what to do.",
    "stream": "Serve images to the guests of one host while they arrive; the agent starts it.",
}


SUBCOMMANDS = {
    "agent inspect": "Print all that a host's store holds; no API server and no running agent is needed.",
    "agent list": "List the guests of this host.",
    "agent start": "Start a guest of this host.",
    "agent stop": "Stop a guest of this host.",
    "agent forget": "Take a guest that is off from this host.",
    "agent backups": "List the backups of a host.",
    "agent join": "Make this machine a host, by a join token.",
    "agent restore": "Build the agent's store from a backup.",
    "operator rebuild": "Make the API server's objects anew from what hosts hold.",
    "images manifest": "Write the manifest of an image: the digest of each chunk.",
}


class LateCommands(TyperGroup):
    """Knows the names and the first lines of its commands, and imports a command when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which a reader meets them."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command for a list of commands: of a late one, only its first line."""
        if cmd_name in COMMANDS:
            return _first_line(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, imported now."""
        both = " ".join(args[:2])
        if both in SUBCOMMANDS:
            return both, _import(both), args[2:]
        if args and args[0] in COMMANDS:
            return args[0], _import(args[0]), args[1:]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LateCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def innkeeper() -> None:
    """Innkeeper: virtual machines as Kubernetes resources.

    Each process reads its options from the command line, else from the environment (INNKEEPER_*), else takes a
    default; `innkeeper COMMAND --help` lists them.
    """


@app.command()
def version(
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the version of Innkeeper and of Python."""
    facts = {"version": __version__, "python": platform.python_version(), "platform": platform.machine()}
    if output is Output.JSON:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write(f"innkeeper {__version__} (Python {facts['python']}, {facts['platform']})\n")


def _import(name: str) -> Any:
    module = import_module(f"innkeeper.cli.{name.replace(' ', '_')}")
    # uvloop has no netlink sockets, which the agent's network needs, and sends no files.
    loop = asyncio.new_event_loop if name in {"agent", "doctor", "stream"} else EventLoop
    below = [f"innkeeper {each}: {line}" for each, line in SUBCOMMANDS.items() if each.startswith(f"{name} ")]
    first_line = (COMMANDS | SUBCOMMANDS)[name]
    return command_of(
        name,
        module.run,
        first_line=first_line,
        epilog="\n\n".join(below),
        is_service=name in COMMANDS and name != "doctor",
        loop=loop,
    )


def _first_line(name: str) -> Any:
    late = typer.Typer(add_completion=False)
    late.command(name, help=COMMANDS[name])(lambda: None)
    return typer.main.get_command(late)
