"""What the page on Argo CD claims: its health rule says what kstatus says, and lists with defaults are all named."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lupa
import pytest
import yaml
from hypothesis import given

from tests.kit.any_status import OBJECTS
from tests.kit.kstatus import Status, status_of

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLE = CHECKOUT / "docs" / "examples" / "argo-cd"
PAGE = CHECKOUT / "docs" / "how-to" / "gitops-with-argo-cd.md"
HEALTH = {
    Status.CURRENT: "Healthy",
    Status.IN_PROGRESS: "Progressing",
    Status.TERMINATING: "Progressing",
    Status.FAILED: "Degraded",
}
BY_PEOPLE = ("clusters", "flavors", "guests", "guestoperations", "hosts", "images", "ippools")

Schema = Mapping[str, Any]


@pytest.fixture(scope="module")
def health() -> Callable[[dict[str, Any]], str]:
    """The rule, as Argo CD runs it: a Lua script with the object in `obj`, which returns a table."""
    config = yaml.safe_load((EXAMPLE / "argocd-cm.yaml").read_text())
    [(kinds, rules)] = yaml.safe_load(config["data"]["resource.customizations"]).items()
    assert kinds == "innkeeper.dev/*"
    lua = lupa.LuaRuntime(register_eval=False, register_builtins=False)
    rule = lua.execute(f"return function(obj)\n{rules['health.lua']}\nend")
    return lambda document: str(rule(lua.table_from(document, recursive=True))["status"])


@given(document=OBJECTS)
def test_the_health_rule_says_what_kstatus_says(
    health: Callable[[dict[str, Any]], str], document: dict[str, Any]
) -> None:
    assert health(document) == HEALTH[status_of(document)]


def schema_of(plural: str) -> Schema:
    crd = yaml.safe_load((CHECKOUT / "crds" / f"innkeeper.dev_{plural}.yaml").read_text())
    found: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def defaults_in_items(schema: Schema, *, within: str = "") -> Iterator[str]:
    """Yield the fields of list items that have a default."""
    for field, below in schema.get("properties", {}).items():
        if within and "default" in below:
            yield field
        yield from defaults_in_items(below, within=within)
        yield from defaults_in_items(below.get("items", {}), within=field)


def test_the_page_names_every_default_in_a_list() -> None:
    table = PAGE.read_text().partition("| list | fields with a default |")[2].partition("\n\n")[0]
    told = {
        name for row in table.splitlines()[2:] for name in re.findall(r"`([a-zA-Z]+)`", row.split("|")[2])
    }
    found = {field for plural in BY_PEOPLE for field in defaults_in_items(schema_of(plural))}
    assert found <= told
    assert told - found == {"Equal"}, "beside the fields only this value is named"


def left_out(value: Any, schema: Schema, *, in_item: bool = False) -> Iterator[str]:
    """Yield fields of list items that a manifest leaves to their default."""
    if isinstance(value, list):
        for each in value:
            yield from left_out(each, schema.get("items", {}), in_item=True)
    if isinstance(value, dict):
        for field, below in schema.get("properties", {}).items():
            if in_item and "default" in below and field not in value:
                yield field
            if field in value:
                yield from left_out(value[field], below, in_item=in_item)


def test_the_example_is_in_step_also_where_lists_are_compared_as_a_whole() -> None:
    looked_at = 0
    for path in EXAMPLE.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document["apiVersion"].startswith("innkeeper.dev/"):
                looked_at += 1
                assert not list(left_out(document["spec"], schema_of(f"{document['kind'].lower()}s"))), path
    assert looked_at > 5
