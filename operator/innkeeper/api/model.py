"""What models say beyond their fields: CEL rules, list-map keys, printer columns, names of kinds.

A marker inside `Annotated[...]` puts its part into the JSON schema; `crdgen` turns that schema into a CRD.
Checks in CEL are made by the API server alone: building a model in Python checks types, patterns and lengths,
never CEL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """One CEL rule: what must hold, and the message that says what to change where it does not."""

    rule: str
    message: str
    field_path: str | None = None

    def as_schema(self) -> dict[str, str]:
        """Return the rule as an item of `x-kubernetes-validations`."""
        schema = {"rule": self.rule, "message": self.message}
        if self.field_path:
            schema["fieldPath"] = self.field_path
        return schema

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = dict(handler(core))
        schema[VALIDATIONS] = [*schema.get(VALIDATIONS, []), self.as_schema()]
        return schema


@dataclass(frozen=True)
class Extension:
    """Keywords of the schema that pydantic has no name for."""

    keywords: tuple[tuple[str, Any], ...]

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), **dict(self.keywords)}


def string_format(name: str) -> Extension:
    """Have the API server check a string against one of its formats."""
    return Extension((("format", name),))


def map_keys(*keys: str) -> Extension:
    """Make a list a map with these keys: unique, and merged item by item on server-side apply."""
    return Extension((("x-kubernetes-list-type", "map"), ("x-kubernetes-list-map-keys", list(keys))))


SET = Extension((("x-kubernetes-list-type", "set"),))
ATOMIC = Extension((("x-kubernetes-list-type", "atomic"),))


def immutable(field: str, advice: str) -> Rule:
    """Refuse every change of one field of the model that carries the rule; `advice` says what to do instead.

    The API server bounds the cost of `has` and `==`, but not that of CEL's optional values (`self.?field`). Rules run on
    every write of the status too, and looking a field up is what costs: an absent field is looked up twice.
    """
    same = f"has(oldSelf.{field}) ? has(self.{field}) && self.{field} == oldSelf.{field} : !has(self.{field})"
    return Rule(same, f"{field} is immutable: {advice}", f".{field}")


def exactly_one(first: str, second: str) -> Rule:
    """Refuse a model that has both fields, or neither."""
    return Rule(f"has(self.{first}) != has(self.{second})", f"set exactly one of {first} and {second}")


class ApiModel(BaseModel):
    """Settings that all models share: camelCase on the wire, unknown fields refused, docstrings as descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the model's own rules to its schema."""
        schema = handler(core)
        if cls.rules:
            handler.resolve_ref_schema(schema)[VALIDATIONS] = [rule.as_schema() for rule in cls.rules]
        return schema


class Metadata(BaseModel):
    """The part of `metadata` that people write; the API server owns its schema."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    name: str = ""
    namespace: str | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` ones appear with `-o wide` only."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    wide: bool = False


READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Definition:
    """What a CRD says beside its schema."""

    plural: str
    short_name: str
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[Column, ...]


class Kind(ApiModel):
    """A top-level object. The class name is the kind; `rules` may use `self.metadata.name`."""

    definition: ClassVar[Definition]

    metadata: Metadata
