"""The schema is one that API servers take, whatever the models use: no reference, no null, sizes bounded."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import pytest
import yaml
from pydantic import Field

from innkeeper.api import crdgen
from innkeeper.api.model import ApiModel, Column, Definition, Kind, Rule, immutable, map_keys
from innkeeper.api.v1alpha1 import KINDS

REFUSED_BY_API_SERVERS = {
    "$ref",
    "$defs",
    "anyOf",
    "oneOf",
    "const",
    "title",
    "propertyNames",
    "exclusiveMinimum",
}


class Part(ApiModel):
    """A part."""

    rules: ClassVar = (Rule("self.size > 1", "size must be more than 1"),)

    name: Annotated[str, Field(max_length=8)]
    """Its name."""
    size: int = 2


class Spec(ApiModel):
    """What is wanted."""

    rules: ClassVar = (immutable("part", "make another"),)

    part: Part | None = None
    """One part."""
    parts: Annotated[list[Part], Field(max_length=3), map_keys("name")] = Field(default_factory=list)
    colour: Literal["red"] = "red"
    on_off: bool = False


class Status(ApiModel):
    """What is."""

    observed_generation: int = -1
    count: int = 0


class Thing(Kind):
    """A thing."""

    definition: ClassVar = Definition(
        plural="things",
        short_name="thg",
        scope="Cluster",
        columns=(Column("Colour", ".spec.colour"), Column("Part", ".spec.part.name", wide=True)),
    )

    spec: Spec
    status: Status = Status()


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema inside a schema, with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from walk(schema[keyword], f"{path}[]")


def spec_of(kind: type[Kind]) -> dict[str, Any]:
    properties: dict[str, Any] = crdgen.root_schema(kind)["properties"]["spec"]["properties"]
    return properties


def test_a_reference_is_replaced_and_keeps_both_its_rules_and_its_own_description() -> None:
    part = spec_of(Thing)["part"]
    assert part["description"] == "One part."
    assert part["x-kubernetes-validations"] == [
        {"rule": "self.size > 1", "message": "size must be more than 1"}
    ]
    assert part["properties"]["name"] == {"description": "Its name.", "type": "string", "maxLength": 8}


def test_an_optional_field_has_no_null_and_no_default() -> None:
    assert "default" not in spec_of(Thing)["part"]
    assert "part" not in crdgen.root_schema(Thing)["properties"]["spec"].get("required", [])


def test_names_are_camel_case_and_a_literal_is_an_enum() -> None:
    assert spec_of(Thing)["onOff"] == {"type": "boolean", "default": False}
    assert spec_of(Thing)["colour"] == {"type": "string", "enum": ["red"], "default": "red"}


def test_list_map_keys_stand_beside_the_list() -> None:
    parts = spec_of(Thing)["parts"]
    assert parts["x-kubernetes-list-type"] == "map"
    assert parts["x-kubernetes-list-map-keys"] == ["name"]
    assert "default" not in parts


def test_the_status_defaults_to_unseen_and_to_nothing_else() -> None:
    status = crdgen.root_schema(Thing)["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1}
    assert "default" not in status["properties"]["count"]


def test_an_immutable_field_names_itself_and_the_way_out() -> None:
    (rule,) = crdgen.root_schema(Thing)["properties"]["spec"]["x-kubernetes-validations"]
    assert rule["message"] == "part is immutable: make another"
    assert rule["fieldPath"] == ".part"


def test_columns_names_and_subresource() -> None:
    spec = yaml.safe_load(crdgen.render(Thing))["spec"]
    assert spec["names"]["shortNames"] == ["thg"]
    assert spec["names"]["categories"] == ["innkeeper"]
    (version,) = spec["versions"]
    assert version["subresources"] == {"status": {}}
    assert version["additionalPrinterColumns"] == [
        {"name": "Colour", "type": "string", "jsonPath": ".spec.colour"},
        {"name": "Part", "type": "string", "jsonPath": ".spec.part.name", "priority": 1},
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_every_string_list_and_map_is_bounded_and_every_field_described(kind: type[Kind]) -> None:
    for path, schema in walk(crdgen.root_schema(kind)):
        assert not REFUSED_BY_API_SERVERS & set(schema), path
        if path in ("", ".apiVersion", ".kind", ".metadata"):
            continue
        if schema["type"] == "string":
            assert "maxLength" in schema or "enum" in schema, path
        if schema["type"] == "array":
            assert "maxItems" in schema, path
            assert "x-kubernetes-list-type" in schema, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
        assert "description" in schema or path.endswith("[]"), path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_conditions_are_a_map_by_type(kind: type[Kind]) -> None:
    status = crdgen.root_schema(kind)["properties"].get("status")
    if status is not None:
        assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_short_names_are_the_promised_ones() -> None:
    assert {kind.__name__: kind.definition.short_name for kind in KINDS} == {
        "Guest": "gst",
        "GuestOperation": "gop",
        "Image": "img",
        "Flavor": "flv",
        "Host": "hst",
        "Cluster": "clu",
        "IPPool": "ipp",
        "IPAddress": "ipa",
        "Assignment": "asg",
        "HostAgent": "hag",
    }
