"""Writes the reference of commands from the commands themselves: `innkeeper ...` and `kubectl guest ...`.

A default that a command leaves to its settings is taken from there, and so is the variable.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from innkeeper.cli import main
from innkeeper.cli.guest import commands
from innkeeper.settings import OperatorSettings
from kit.reference import settings
from kit.reference.table import code, page, table

_INTRO = """\
`innkeeper` starts every process and does what is done at a host; `kubectl guest` is for people with a kubeconfig (the
program `kubectl-guest`, which kubectl finds on PATH). `--help` shows the same. What an option leaves open comes from
[settings](settings.md).
"""
FORMS = {**settings.PROCESSES, "operator rebuild": OperatorSettings}
"""Where a command's options come from when they are left open."""


def render() -> str:
    """Return the page."""
    known: Any = main  # commands are imported when they are called: here, all of them
    named = [*main.COMMANDS, *main.SUBCOMMANDS]
    late = {f"innkeeper {name}": known._import(name) for name in sorted(named)}  # noqa: SLF001 - no other way in
    early = _group("innkeeper", typer.main.get_command(main.app))
    guest = _group("kubectl guest", typer.main.get_command(commands.app))
    parts = [_command(name, each) for name, each in (late | early | guest).items()]
    return page("Commands", source="the commands", intro=_INTRO, parts=parts)


def _group(name: str, group: Any) -> dict[str, Any]:
    return {f"{name} {each}": command for each, command in sorted(group.commands.items())}


def _command(name: str, command: Any) -> str:
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    form = FORMS.get(name.removeprefix("innkeeper "))
    usage = " ".join([name, *(_usage(each) for each in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {name}", f"```text\n{usage}\n```", command.help.strip()]
    if arguments:
        parts.append(
            table(("argument", "what it is"), ([code(_usage(each)), each.help or ""] for each in arguments))
        )
    if options:
        head = ("option", "default", "variable", "what it is")
        parts.append(table(head, (_option(each, form) for each in options)))
    return "\n\n".join(parts)


def _usage(argument: Any) -> str:
    word = (argument.metavar or argument.name).upper()
    word = f"{word}..." if argument.nargs == -1 else word
    return word if argument.required else f"[{word}]"


def _option(option: Any, form: Any) -> list[str]:
    text = option.help or ""
    told = option.show_default if isinstance(option.show_default, str) else ""
    default, variable = told or code(_plain_default(option)), " ".join(_variables(option))
    if form is not None and option.name in form.model_fields:
        default = code(settings.shown_default(form.model_fields[option.name])) or told
        variable = settings.variable(form, option.name)
    names = ", ".join(code(each) for each in (*option.opts, *option.secondary_opts))
    more = " May be given again." if option.multiple and "again" not in text else ""
    return [names, default, code(variable), text + more]


def _plain_default(option: Any) -> str:
    value = option.default
    if value is None or isinstance(value, bool) or value in ([], ()) or callable(value):
        return ""
    return str(value.value if isinstance(value, Enum) else value)


def _variables(option: Any) -> Iterator[str]:
    found = option.envvar
    if isinstance(found, str):
        yield found
    elif found:
        yield from found
