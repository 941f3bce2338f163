"""Writes the reference of the API as Markdown: kinds, fields, rules, and what admission policies refuse.

It says nothing of its own: texts come from the models, and from the admission policies that the caller has read.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from innkeeper.api import crdgen
from innkeeper.api.model import VALIDATIONS, Kind
from innkeeper.domain.names import API_VERSION, GROUP

_HEAD = f"""\
<!-- Made by hack/generate from operator/innkeeper/api; do not edit. -->
# API reference

All kinds are `{API_VERSION}` and in the category `innkeeper` (`kubectl get innkeeper`).

The API server fills in defaults and refuses what breaks a rule below. A field that is not listed here is
refused by `kubectl apply` and by each client that asks for strict field validation (`fieldValidation=Strict`);
other clients get a warning, and the API server drops the field.

What conditions say is told in [conditions and reasons](conditions.md).
"""
_OF_KUBERNETES_TOO = {"ipaddresses"}
"""Kinds whose short form kubectl takes for one of Kubernetes' own."""


def render(kinds: Iterable[type[Kind]], policies: Iterable[Mapping[str, Any]]) -> str:
    """Return the whole page; `policies` are the documents of the admission policies."""
    return "\n".join([_HEAD, *(_kind(kind) for kind in kinds), _policies(policies)])


def _kind(kind: type[Kind]) -> str:
    schema = crdgen.root_schema(kind)
    definition = kind.definition
    plural = f"{definition.plural}.{GROUP}" if definition.plural in _OF_KUBERNETES_TOO else definition.plural
    scope = "namespaced" if definition.scope == "Namespaced" else "cluster-wide"
    lines = [
        f"## {kind.__name__}\n",
        f"{schema['description']}\n",
        f"`kubectl get {plural}` or `{definition.short_name}`; {scope}.\n",
        "| field | type | what it is |",
        "|---|---|---|",
    ]
    lines += [
        row for part in ("spec", "status") if part in schema["properties"] for row in _rows(part, schema)
    ]
    if refused := [*dict.fromkeys(_messages(schema))]:
        lines += ["", "Refused with one of these messages:\n", *(f"- {message}" for message in refused)]
    return "\n".join([*lines, ""])


def _rows(name: str, parent: dict[str, Any], prefix: str = "") -> Iterator[str]:
    field = parent["properties"][name]
    path = f"{prefix}{name}"
    mark = " (required)" if name in parent.get("required", []) else ""
    yield f"| `{path}` | {_type(field)}{mark} | {_cell(field)} |"
    inner = field.get("items", field)
    if inner.get("properties") and name != "conditions":
        separator = "[]." if "items" in field else "."
        for child in inner["properties"]:
            yield from _rows(child, inner, f"{path}{separator}")


def _cell(field: dict[str, Any]) -> str:
    text = str(field.get("description", ""))
    if "enum" in field:
        text += f" One of {', '.join(f'`{value}`' for value in field['enum'])}."
    if "default" in field and field.get("type") != "object":
        default = field["default"]
        text += f" Default: `{str(default).lower() if isinstance(default, bool) else default}`."
    return text.strip().replace("|", "\\|")


def _type(field: dict[str, Any]) -> str:
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}"
        case "object" if "additionalProperties" in field:
            return "map of strings"
        case other:
            return str(other)


def _messages(schema: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get(VALIDATIONS, []))
    for child in schema.get("properties", {}).values():
        yield from _messages(child)
    if "items" in schema:
        yield from _messages(schema["items"])


def _policies(policies: Iterable[Mapping[str, Any]]) -> str:
    lines = ["## Admission policies\n", "| policy | refuses with |", "|---|---|"]
    for policy in policies:
        if policy["kind"] == "ValidatingAdmissionPolicy":
            messages = (rule["message"] for rule in policy["spec"]["validations"])
            lines += [f"| `{policy['metadata']['name']}` | {message} |" for message in messages]
    return "\n".join([*lines, ""])
