"""Writes the reference of conditions: each type and each reason with what it means, as `innkeeper.domain.reasons` tells.

A member's meaning is the comment behind it; a comment on a line of its own names the condition that those below it speak
of. A reason without a meaning is an error.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from innkeeper.domain import reasons
from kit import steps
from kit.reference.table import code, page, table

OF = {
    "GuestReason": "Guest",
    "OperationReason": "GuestOperation",
    "HostReason": "Host",
    "MaintenanceReason": "Host, under maintenance",
    "ImageReason": "Image",
    "PoolReason": "IPPool and Cluster",
}
_INTRO = """\
A condition says how something is, why (the reason), and in words what to do (the message). Reasons are part of the API:
scripts and alerts may match on them. `kubectl get guest NAME -o yaml` shows all of them.
"""


@dataclass(frozen=True)
class Word:
    """A condition's type or a reason: its value, the group that it stands in, and what it means."""

    value: str
    group: str
    meaning: str


def render() -> str:
    """Return the page.

    Raises:
        StepError: when a type or a reason does not say what it means.
    """
    words = read(Path(reasons.__file__).read_text())
    kinds = ["ConditionType", *OF]
    if silent := [f"{kind}.{each.value}" for kind in kinds for each in words[kind] if not each.meaning]:
        raise steps.StepError(f"put a comment behind each in domain/reasons.py: {', '.join(silent)}")
    types = table(
        ("type", "what it says"), ([code(each.value), each.meaning] for each in words["ConditionType"])
    )
    parts = [f"## Types\n\n{types}", *(_kind(OF[kind], words[kind]) for kind in OF)]
    return page("Conditions and reasons", source="innkeeper.domain.reasons", intro=_INTRO, parts=parts)


def read(source: str) -> dict[str, list[Word]]:
    """Return the members of each class of a module, by the class's name."""
    comments = {
        token.start[0]: token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    classes = [each for each in ast.parse(source).body if isinstance(each, ast.ClassDef)]
    return {each.name: list(_members(each, comments)) for each in classes}


def _members(owner: ast.ClassDef, comments: dict[int, tokenize.TokenInfo]) -> Iterator[Word]:
    group, line = "Ready", owner.lineno
    for member in owner.body:
        if not (isinstance(member, ast.Assign) and isinstance(member.value, ast.Constant)):
            continue
        above = [comments[at] for at in range(line, member.lineno) if at in comments]
        group = next((_text(each) for each in reversed(above) if each.line.lstrip().startswith("#")), group)
        line = (member.end_lineno or member.lineno) + 1
        behind = [_text(comments[at]) for at in range(member.lineno, line) if at in comments]
        yield Word(str(member.value.value), group, " ".join(behind))


def _text(comment: tokenize.TokenInfo) -> str:
    return comment.string.lstrip("# ").strip()


def _kind(name: str, words: list[Word]) -> str:
    rows = ([code(each.value), each.group, each.meaning] for each in words)
    return f"## {name}\n\n{table(('reason', 'of', 'when'), rows)}"
