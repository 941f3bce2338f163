"""Turns the models into CRDs.

pydantic writes a JSON schema; this module makes it structural, as API servers ask: references are replaced
by what they refer to, optional fields lose their null, keywords that API servers refuse go. Reads models only,
writes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from innkeeper.api.model import Kind
from innkeeper.domain.names import GROUP, VERSION

Schema = dict[str, Any]

# `title` repeats the field's name. `additionalProperties: false` goes below: API servers refuse it beside
# `properties`, and their own field validation does its work.
_DROPPED = ("title", "$defs")
_STATUS_DEFAULT = {"observedGeneration": -1}
_HEADER = "# Made by hack/generate from operator/innkeeper/api; do not edit.\n"


def file_name(kind: type[Kind]) -> str:
    """Return the name of the file that holds the CRD of `kind`."""
    return f"{GROUP}_{kind.definition.plural}.yaml"


def render(kind: type[Kind]) -> str:
    """Return the CRD of `kind` as YAML."""
    document = yaml.dump(crd(kind), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return f"{_HEADER}{document}"


def crd(kind: type[Kind]) -> Schema:
    """Return the CRD of `kind`."""
    names = {
        "kind": kind.__name__,
        "listKind": f"{kind.__name__}List",
        "plural": kind.definition.plural,
        "singular": kind.__name__.lower(),
        "shortNames": [kind.definition.short_name],
        "categories": ["innkeeper"],
    }
    schema = root_schema(kind)
    version: Schema = {"name": VERSION, "served": True, "storage": True}
    version["additionalPrinterColumns"] = [
        {"name": column.name, "type": column.type, "jsonPath": column.path}
        | ({"priority": 1} if column.wide else {})
        for column in kind.definition.columns
    ]
    version["schema"] = {"openAPIV3Schema": schema}
    if "status" in schema["properties"]:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.definition.plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": kind.definition.scope, "names": names, "versions": [version]},
    }


def root_schema(kind: type[Kind]) -> Schema:
    """Return the structural schema of a whole object."""
    raw = kind.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    schema = _structural(raw, raw.get("$defs", {}))
    own = schema["properties"]
    properties: Schema = {
        "apiVersion": {"type": "string", "description": f"Always `{GROUP}/{VERSION}`."},
        "kind": {"type": "string", "description": f"Always `{kind.__name__}`."},
        "metadata": {"type": "object"},
        "spec": own["spec"],
    }
    if "status" in own:
        properties["status"] = _without_defaults(own["status"]) | {"default": _STATUS_DEFAULT}
        properties["status"]["properties"]["observedGeneration"]["default"] = -1
    return schema | {"properties": properties, "required": ["spec"]}


class _Generator(GenerateJsonSchema):
    """Leaves the order of the models alone."""

    def sort(self, value: Schema, parent_key: str | None = None) -> Schema:  # noqa: ARG002 - as in pydantic
        """Keep fields in the order in which the model names them."""
        return value


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    merged = _resolved(schema, definitions)
    result: Schema = {}
    if "description" in merged:
        result["description"] = " ".join(merged.pop("description").split())
    if merged.get("type") == "integer":
        merged["format"] = "int64"
    if merged.get("additionalProperties") in (True, False):
        del merged["additionalProperties"]
    if merged.get("default") in ([], {}, ""):
        del merged["default"]  # its absence means the same, and objects stay small
    for keyword, value in merged.items():
        if keyword == "properties":
            result[keyword] = {name: _structural(field, definitions) for name, field in value.items()}
        elif keyword in ("items", "additionalProperties"):
            result[keyword] = _structural(value, definitions)
        else:
            result[keyword] = value
    return result


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Return `schema` with its reference replaced and its null removed; what stands beside a reference wins."""
    merged = {keyword: value for keyword, value in schema.items() if keyword not in _DROPPED}
    if "$ref" in merged:
        target = definitions[merged.pop("$ref").rpartition("/")[2]]
        return _over(_resolved(target, definitions), merged)
    if "anyOf" in merged:
        (only,) = (choice for choice in merged.pop("anyOf") if choice.get("type") != "null")
        if merged.get("default", ...) is None:
            del merged["default"]
        return _over(_resolved(only, definitions), merged)
    if "const" in merged:
        merged["enum"] = [merged.pop("const")]
    return merged


def _over(below: Schema, above: Schema) -> Schema:
    """Lay `above` over `below`; rules of both hold."""
    merged = below | above
    both = below.get("x-kubernetes-validations", []) + above.get("x-kubernetes-validations", [])
    return merged | ({"x-kubernetes-validations": both} if both else {})


def _without_defaults(schema: Schema) -> Schema:
    """Return a status without defaults: its writer says what is so, and objects stay small."""
    result = {keyword: value for keyword, value in schema.items() if keyword != "default"}
    if "properties" in result:
        result["properties"] = {
            name: _without_defaults(field) for name, field in result["properties"].items()
        }
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result


class _Dumper(yaml.SafeDumper):
    """Writes text as people would: no aliases, lists indented."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as in PyYAML
        """Write a repeated part again."""
        return True

    # The signature is PyYAML's.
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Indent lists below their key."""
        return super().increase_indent(flow, False)


def render_all(kinds: Iterable[type[Kind]]) -> dict[str, str]:
    """Return the text of each CRD under its file name."""
    return {file_name(kind): render(kind) for kind in kinds}
