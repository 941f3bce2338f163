"""Rules about single documents: merge patches, label selectors, refusals. Pure functions over JSON."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kit.fake_api_kinds import Document, Kind

Matcher = Callable[[Document], bool]

_SET = re.compile(r"^\s*(?P<key>[^\s,!=()]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s,!=()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s,!=()]*)\s*$")
_COMMA = re.compile(r",(?![^(]*\))")


class RefusedError(Exception):
    """The API server says no; carries what its Status would."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s
        self.cause = cause

    def document(self) -> Document:
        """Return the `metav1.Status`."""
        document = status_document(self.status, self.reason, self.message)
        if self.cause is not None:
            document["details"] = {"causes": [{"reason": self.cause, "message": self.message}]}
        return document


def status_document(code: int, reason: str, message: str) -> Document:
    """Return a `metav1.Status` that refuses."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def not_found(kind: Kind, name: str) -> RefusedError:
    """Return the refusal for an object that is not there."""
    return RefusedError(404, "NotFound", f'{kind.qualified} "{name}" not found')


def conflict(kind: Kind, name: str, why: str) -> RefusedError:
    """Return the refusal for a guard that does not hold."""
    return RefusedError(409, "Conflict", f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}')


def invalid(kind: Kind, name: str, why: str) -> RefusedError:
    """Return the refusal for an object that may not be so."""
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return RefusedError(422, "Invalid", f'{qualified} "{name}" is invalid: {why}')


def merge(target: Any, patch: Any) -> Any:
    """Return the target with a merge patch applied (RFC 7386); neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def selector(labels: str | None, fields: str | None = None) -> Matcher:
    """Return what tells whether an object is selected.

    Raises:
        RefusedError: when a selector cannot be read.
    """
    rules = [_label_rule(term) for term in _COMMA.split(labels or "") if term.strip()]
    rules += [_field_rule(term) for term in (fields or "").split(",") if term.strip()]
    return lambda document: all(rule(document) for rule in rules)


def _labels(document: Document) -> Mapping[str, str]:
    found: Mapping[str, str] = document["metadata"].get("labels") or {}
    return found


def _label_rule(term: str) -> Matcher:
    if match := _SET.match(term):
        values = {value.strip() for value in match["values"].split(",")}
        key, wanted = match["key"], match["op"] == "in"
        return lambda document: (_labels(document).get(key) in values) is wanted
    if match := _EQUAL.match(term):
        key, value, wanted = match["key"], match["value"], match["op"] != "!="
        return lambda document: (_labels(document).get(key) == value) is wanted
    key = term.strip()
    if re.fullmatch(r"!?[\w./-]+", key):
        return lambda document: (key.lstrip("!") in _labels(document)) is not key.startswith("!")
    raise RefusedError(400, "BadRequest", f"unable to parse requirement: {term!r}")


def _field_rule(term: str) -> Matcher:
    key, _, value = (part.strip() for part in term.partition("="))
    if key not in ("metadata.name", "metadata.namespace"):
        raise RefusedError(400, "BadRequest", f"field label not supported: {key}")
    part = key.partition(".")[2]
    return lambda document: document["metadata"].get(part, "") == value.lstrip("=")
