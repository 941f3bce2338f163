"""The views of the hot path and the models of the API say the same: names, types, defaults.

A view may leave fields out, and may be more lenient about what is absent. It may never name a field that the
schema lacks (the API server would drop it), nor read a type that the schema does not promise.
"""

import types
import typing
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from pydantic.fields import FieldInfo

from innkeeper.api import v1alpha1
from innkeeper.api.model import ApiModel, Kind
from innkeeper.views import assignment, catalog, guest, guestoperation, host, network

VIEWS: dict[type[Kind], type[msgspec.Struct]] = {
    v1alpha1.Guest: guest.Guest,
    v1alpha1.GuestOperation: guestoperation.GuestOperation,
    v1alpha1.Image: catalog.Image,
    v1alpha1.Flavor: catalog.Flavor,
    v1alpha1.Host: host.Host,
    v1alpha1.Cluster: catalog.Cluster,
    v1alpha1.IPPool: network.IPPool,
    v1alpha1.IPAddress: network.IPAddress,
    v1alpha1.Assignment: assignment.Assignment,
    v1alpha1.HostAgent: host.HostAgent,
}


def test_every_kind_has_a_view() -> None:
    assert set(VIEWS) == set(v1alpha1.KINDS)


@pytest.mark.parametrize("kind", v1alpha1.KINDS, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("part", ["spec", "status"])
def test_view_and_model_agree(kind: type[Kind], part: str) -> None:
    in_view = {field.name for field in msgspec.structs.fields(VIEWS[kind])}
    assert (part in in_view) == (part in kind.model_fields)
    if part in in_view:
        assert list(differences(VIEWS[kind], kind, only=part)) == []


def test_differences_are_found() -> None:
    """The comparison itself can fail: each kind of disagreement gives a line."""

    class Model(ApiModel):
        count: int
        name: str = "a"
        maybe: str | None = None

    class View(msgspec.Struct, rename="camel"):
        count: str
        maybe: str
        other: int
        name: str = "b"

    assert list(differences(View, Model)) == [
        "View.count: view reads str, the API has int",
        "View.maybe: the view needs what the API may leave out",
        "View.other: not in the API",
        "View.name: the view's default is 'b', the API's 'a'",
    ]


def differences(view: Any, model: Any, only: str | None = None) -> typing.Iterator[str]:
    """Yield a line for each field in which the view contradicts the model."""
    hints = typing.get_type_hints(view)
    wire = {field.alias or name: field for name, field in model.model_fields.items()}
    for field in msgspec.structs.fields(view):
        if only and field.name != only:
            continue
        where = f"{view.__name__}.{field.encode_name}"
        if field.encode_name not in wire:
            yield f"{where}: not in the API"
            continue
        theirs = wire[field.encode_name]
        yield from _types(where, hints[field.name], theirs.annotation)
        yield from _defaults(where, field, theirs)


def _types(where: str, mine: Any, theirs: Any) -> typing.Iterator[str]:
    mine, theirs = _plain(mine), _plain(theirs)
    if isinstance(mine, type) and issubclass(mine, msgspec.Struct):
        yield from differences(mine, theirs)
    elif typing.get_origin(mine) in (list, dict) and typing.get_origin(mine) is typing.get_origin(theirs):
        for one, other in zip(typing.get_args(mine), typing.get_args(theirs), strict=True):
            yield from _types(where, one, other)
    elif mine is not theirs:
        yield f"{where}: view reads {mine.__name__}, the API has {getattr(theirs, '__name__', theirs)}"


def _plain(hint: Any) -> Any:
    """Strip what the wire does not show: Annotated, `| None`, enums and literals of strings."""
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (choice for choice in typing.get_args(hint) if choice is not type(None))
        return _plain(hint)
    if typing.get_origin(hint) is typing.Literal or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return str
    return hint


def _defaults(where: str, mine: msgspec.structs.FieldInfo, theirs: FieldInfo) -> typing.Iterator[str]:
    if mine.required:
        if not theirs.is_required():
            yield f"{where}: the view needs what the API may leave out"
    elif not theirs.is_required():
        ours = mine.default if mine.default is not msgspec.NODEFAULT else mine.default_factory()
        default = theirs.get_default(call_default_factory=True, validated_data={})
        if _wire(ours) != _wire(default):
            yield f"{where}: the view's default is {ours!r}, the API's {default!r}"


def _wire(value: Any) -> Any:
    """Return a default as both sides can be compared: of structures, only their own defaults count."""
    return "structure" if isinstance(value, (msgspec.Struct, ApiModel)) else value
