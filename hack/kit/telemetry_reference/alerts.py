"""Writes `docs/reference/alerts.md` from the rules that Prometheus reads."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = """\
<!-- Made by hack/generate from charts/innkeeper/files/alerts; do not edit. -->
# Alerts

The rules lie in `charts/innkeeper/files/alerts/innkeeper.rules.yaml`; [the how-to](../how-to/monitor.md) shows how
Prometheus gets them. `critical` is for a person at once, `warning` for the next working day. Each alert has a page that
tells what it means for guests, where to look and what to mend. The rules read [these metrics](metrics.md).
"""
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")


def render(rules: Mapping[str, Any]) -> str:
    """Return the whole page; `rules` is the file of the rules."""
    return "\n".join([_HEAD, *(line for group in rules["groups"] for line in _group(group))])


def _group(group: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {group['name']}\n"
    yield "| alert | severity | after | what it says |"
    yield "|---|---|---|---|"
    for rule in group["rules"]:
        name, said = rule["alert"], rule["annotations"]
        text = f"{_plain(said['summary'])} {said['description']}".replace("|", "\\|")
        yield f"| [{name}](../runbooks/{name}.md) | {rule['labels']['severity']} | {rule['for']} | {text} |"
    yield ""
    for rule in group["rules"]:
        yield f"`{rule['alert']}`:\n"
        yield f"```text\n{rule['expr']}\n```\n"


def _plain(text: str) -> str:
    """Return a template as a person reads it: capitals stand for what Prometheus puts in."""
    return _LABEL.sub(lambda found: found[1].upper(), _VALUE.sub("VALUE", text))
