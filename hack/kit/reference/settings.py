"""Writes the reference of settings from the classes that read them: name, variable, default, unit, range, meaning."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from innkeeper.agent.settings import AgentSettings
from innkeeper.agent.streaming.settings import StreamSettings
from innkeeper.images.settings import ImagesSettings
from innkeeper.settings import OperatorSettings
from kit.reference.table import code, page, table

PROCESSES: dict[str, type[BaseSettings]] = {
    "operator": OperatorSettings,
    "images": ImagesSettings,
    "agent": AgentSettings,
    "stream": StreamSettings,
}
UNITS = {"_mib_s": "MiB/s", "_s": "s", "_bytes": "bytes"}
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}
_INTRO = """\
Each process takes a setting from its command line (`--snapshot-file`), else from its environment
(`INNKEEPER_SNAPSHOT_FILE`), else its default. A setting that takes a list is given several times on the command line, and
as a JSON list in the environment. [Commands](cli.md) shows which settings have an option.
"""


def render() -> str:
    """Return the page."""
    parts = (_process(name, form) for name, form in PROCESSES.items())
    return page("Settings", source="the classes that read settings", intro=_INTRO, parts=parts)


def variable(form: type[BaseSettings], name: str) -> str:
    """Return the variable that a setting is read from."""
    return f"{form.model_config['env_prefix']}{name}".upper()


def shown_default(field: FieldInfo) -> str:
    """Return a default as a person would type it; nothing where there is none."""
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value == []:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def _process(name: str, form: type[BaseSettings]) -> str:
    head = ("setting", "variable", "default", "unit", "range", "what it is")
    rows = (_row(form, each, field) for each, field in form.model_fields.items())
    return f"## innkeeper {name}\n\n{table(head, rows)}"


def _row(form: type[BaseSettings], name: str, field: FieldInfo) -> list[str]:
    unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")
    bounds = " ".join(_bounds(field))
    what = field.description or ""
    return [
        code(name),
        code(variable(form, name)),
        code(shown_default(field)),
        unit,
        bounds,
        f"{what} {_choices(field)}",
    ]


def _bounds(field: FieldInfo) -> Iterator[str]:
    for limit in field.metadata:
        for name, words in _BOUNDS.items():
            if (value := getattr(limit, name, None)) is not None:
                yield words.format(value)


def _choices(field: FieldInfo) -> str:
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"One of {', '.join(code(each.value) for each in kind)}."
    return ""
