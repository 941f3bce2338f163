"""`docs/reference/alerts.md`: the alerts, from the rules that Prometheus reads."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from kit import paths
from kit.reference.table import page, table

_RULES = paths.CHECKOUT / "charts" / "innkeeper" / "files" / "alerts" / "innkeeper.rules.yaml"
_INTRO = """\
The rules lie in `charts/innkeeper/files/alerts/innkeeper.rules.yaml`; [the how-to](../how-to/monitor.md) shows how
Prometheus gets them. `critical` is for a person at once, `warning` for the next working day. Each alert has a page that
tells what it means for guests, where to look and what to mend. The rules read [these metrics](metrics.md). `after` tells
how long the trouble must last, and "on" for how long the alert fires once it is over.
"""
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")
_FOUND = re.compile(r"\{\{ range .*\$each\.Labels\.(\w+) \}\}\{\{ end \}\}")


def render() -> str:
    """Return the whole page."""
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    return page("Alerts", source="charts/innkeeper/files/alerts", intro=_INTRO, parts=map(_group, groups))


def _group(group: Mapping[str, Any]) -> str:
    rows = [
        (
            f"[{rule['alert']}](../runbooks/{rule['alert']}.md)",
            rule["labels"]["severity"],
            _held(rule),
            f"{_plain(rule['annotations']['summary'])} {rule['annotations']['description']}",
        )
        for rule in group["rules"]
    ]
    told = table(("alert", "severity", "after", "what it says"), rows)
    asked = "\n\n".join(f"`{rule['alert']}`:\n\n```text\n{rule['expr']}\n```" for rule in group["rules"])
    return f"## {group['name']}\n\n{told}\n\n{asked}"


def _held(rule: Mapping[str, Any]) -> str:
    """Return how long what it asks must hold before it fires, and how long it fires on afterwards."""
    after = rule.get("keep_firing_for")
    return f"{rule['for']}, and {after} on" if after else str(rule["for"])


def _plain(text: str) -> str:
    """Return a template as a person reads it: capitals stand for what Prometheus puts in."""
    asked = _FOUND.sub(lambda found: found[1].upper(), text)
    return _LABEL.sub(lambda found: found[1].upper(), _VALUE.sub("VALUE", asked))
