"""Label and field selectors as a query has them: `app=web,tier notin (a, b),!old`, `status.host=h1`.

The grammar is that of Kubernetes' API conventions.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector

MAX_TEXT = 4096
_SET = re.compile(r"\s*(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)\s*(?:,|$)")
_EQUAL = re.compile(r"\s*(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s,()=!]*)\s*(?:,|$)")
_EXISTS = re.compile(r"\s*(?P<no>!?)\s*(?P<key>[^\s!=,()]+)\s*(?:,|$)")


class QueryInvalidError(ValueError):
    """The query cannot be understood; the message says which part."""


def label_selector(text: str, *, what: str = "labelSelector") -> Selector:
    """Return what a label selector means; `what` is what its writer knows it by.

    Raises:
        QueryInvalidError: it is none.
    """
    return Selector(tuple(_requirements(text, what)))


def _requirements(text: str, what: str) -> list[Requirement]:
    if len(text) > MAX_TEXT:
        raise QueryInvalidError(f"{what} is longer than {MAX_TEXT} characters")
    found: list[Requirement] = []
    at = 0
    while at < len(text.rstrip()):
        match = _SET.match(text, at) or _EQUAL.match(text, at) or _EXISTS.match(text, at)
        if match is None:
            raise QueryInvalidError(f"{what} cannot be read from {text[at : at + 40]!r} on")
        found.append(_requirement(match))
        at = match.end()
    return found


def _requirement(match: re.Match[str]) -> Requirement:
    parts = match.groupdict()
    if "values" in parts:
        values = frozenset(each.strip() for each in parts["values"].split(","))
        return Requirement(
            parts["key"], Operator.IN if parts["operator"] == "in" else Operator.NOT_IN, values
        )
    if "value" in parts:
        operator = Operator.NOT_IN if parts["operator"] == "!=" else Operator.IN
        return Requirement(parts["key"], operator, frozenset((parts["value"],)))
    return Requirement(parts["key"], Operator.DOES_NOT_EXIST if parts["no"] else Operator.EXISTS)


@dataclass(frozen=True)
class FieldSelector:
    """Requirements on fields, which always have a value; an empty one where nothing is set."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, field: Callable[[str], str]) -> bool:
        """Tell whether an object is selected, whose fields a function reads."""
        return all(each.allows(field(each.key)) for each in self.requirements)


def field_selector(text: str, *, known: Collection[str]) -> FieldSelector:
    """Return what a field selector means.

    Raises:
        QueryInvalidError: it is none, or names a field that cannot be selected by.
    """
    found = _requirements(text, "fieldSelector")
    for each in found:
        if each.operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST):
            raise QueryInvalidError(f"fieldSelector needs a value for {each.key!r}")
        if each.key not in known:
            raise QueryInvalidError(
                f"fieldSelector knows no field {each.key!r}; it knows {', '.join(sorted(known))}"
            )
    return FieldSelector(tuple(found))


def fields_of(requirements: Mapping[str, str]) -> str:
    """Return a field selector that asks for these values."""
    return ",".join(f"{key}={value}" for key, value in requirements.items())
