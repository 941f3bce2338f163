"""Answers as people read them: columns, one host or guest a line. Pure: documents in, text out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from innkeeper.cli.guest.printable import one_line

Document = Mapping[str, Any]
_NONE = "-"


def columns(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as columns, each as wide as its widest cell; a row is one line, whatever its cells hold."""
    texts = [[_NONE if cell in (None, "") else one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in texts) for at in range(len(texts[0]))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts)
    return "\n".join(line.rstrip() for line in lines)


def summary(answer: Document) -> str:
    """Return the first line of an explanation: what is in the way, or where the guest would be; how old the view is."""
    meta, status = answer["metadata"], answer["status"]
    name = f"{meta.get('namespace', '')}/{meta['name']}"
    blocked = status.get("blocked")
    if blocked:
        said = f"{blocked['step']}: {blocked['reason']}: {status['message']}"
    elif status.get("chosen"):
        said = f"{status['message']}; {status['chosen']} would be chosen"
    else:
        said = status["message"]
    here = f"; it is on {status['current']}" if status.get("current") else ""
    return f"{name}: {said}{here} (view {status['viewAgeSeconds']:.1f} s old)"


def verdicts(answer: Document, *, wide: bool) -> str:
    """Return the hosts of an explanation: those that fit with their scores, then the others with what they fail."""
    status = answer["status"]
    fitting = [each for each in status["verdicts"] if not each["failures"]]
    others = [each for each in status["verdicts"] if each["failures"]]
    parts = [_scores(fitting)] if fitting else []
    if others:
        filters = [rule["name"] for rule in status["rules"] if rule["kind"] == "Filter"]
        parts.append(_marks(others, filters) if wide else _failures(others))
    return "\n\n".join(parts)


def _scores(hosts: Sequence[Document]) -> str:
    rules = list(dict.fromkeys(rule for host in hosts for rule in host["scores"]))
    rows: list[list[object]] = [["FITS", "IN", *(rule.upper() for rule in rules), "TOTAL"]]
    for host in hosts:
        scores = [f"{host['scores'].get(rule, 0):.1f}" for rule in rules]
        rows.append([host["host"], host["cluster"], *scores, f"{host['total']:.1f}"])
    return columns(rows)


def _failures(hosts: Sequence[Document]) -> str:
    rows: list[list[object]] = [["DOES NOT FIT", "IN", "RULE", "WHY"]]
    for host in hosts:
        for at, each in enumerate(host["failures"]):
            who: list[object] = [host["host"], host["cluster"]] if at == 0 else [" ", " "]
            rows.append([*who, each["rule"], each["message"]])
    return columns(rows)


def _marks(hosts: Sequence[Document], rules: Sequence[str]) -> str:
    rows: list[list[object]] = [["DOES NOT FIT", "IN", *(rule.upper() for rule in rules)]]
    for host in hosts:
        failed = {each["rule"] for each in host["failures"]}
        rows.append([host["host"], host["cluster"], *("no" if rule in failed else "ok" for rule in rules)])
    return columns(rows)


def guests(items: Sequence[Document], *, wide: bool, namespaces: bool, now: datetime) -> str:
    """Return guests as `kubectl get` would print them."""
    head: list[object] = ["NAME", "READY", "POWER", "HOST", "IP", "REASON", "AGE"]
    head += ["CLUSTER", "FLAVOR", "IMAGE", "PRIORITY"] if wide else []
    rows: list[list[object]] = [["NAMESPACE", *head] if namespaces else head]
    for each in items:
        meta, spec, status = each["metadata"], each["spec"], each["status"]
        address = (status["addresses"] or [None])[0]
        age = age_of(meta.get("creationTimestamp"), now=now)
        row: list[object] = [
            meta["name"],
            status["ready"],
            spec["power"],
            status["host"],
            address,
            status["reason"],
            age,
        ]
        row += [status["cluster"], spec["flavor"], spec["image"], spec["priority"]] if wide else []
        rows.append([meta["namespace"], *row] if namespaces else row)
    return columns(rows)


def view_of(guest: Document) -> Document:
    """Return a Guest as the query API shows it, so that it is printed the same way."""
    status, spec = guest.get("status", {}), guest["spec"]
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    return {
        "metadata": guest["metadata"],
        "spec": {
            "power": spec.get("power", "Running"),
            "flavor": spec.get("flavor"),
            "image": spec["image"]["name"],
            "priority": spec.get("priority", 0),
        },
        "status": {
            "host": status.get("host"),
            "cluster": status.get("cluster"),
            "addresses": [each["address"] for each in status.get("addresses", [])],
            "ready": ready.get("status", "Unknown"),
            "reason": ready.get("reason", ""),
        },
    }


def usage(items: Sequence[Document], *, wide: bool, namespaces: bool) -> str:
    """Return what guests take, and the share of what they were promised."""
    head: list[object] = ["NAME", "CPU", "CPU%", "MEMORY", "MEMORY%", "AGE"]
    head += ["HOST", "RUNS", "WINDOW"] if wide else []
    rows: list[list[object]] = [["NAMESPACE", *head] if namespaces else head]
    for each in items:
        meta, status = each["metadata"], each["status"]
        cpu, memory, promised = status["cpuMillis"], status["memoryBytes"], status["promised"]
        row: list[object] = [meta["name"], f"{cpu}m", _share(cpu, promised["cpuMillis"])]
        is_silent = status["running"] and not memory  # its machine was too busy to say
        row += (
            [_NONE, _NONE]
            if is_silent
            else [f"{memory / 1024**2:.0f}Mi", _share(memory, promised["memoryBytes"])]
        )
        row += [f"{status['ageSeconds']:.0f}s"]
        if wide:
            row += [status["host"], "yes" if status["running"] else "no", f"{status['windowSeconds']:.0f}s"]
        rows.append([meta["namespace"], *row] if namespaces else row)
    return columns(rows)


def _share(amount: int, promised: int) -> str:
    return f"{100 * amount / promised:.0f}%" if promised else _NONE


def orphans(items: Sequence[Document], *, wide: bool, now: datetime) -> str:
    """Return guests without an object, one for each host that holds it."""
    head: list[object] = ["NAMESPACE", "NAME", "ID", "HOST", "SINCE"]
    rows: list[list[object]] = [head + (["STATE", "ORDER"] if wide else [])]
    for each in items:
        meta, status = each["metadata"], each["status"]
        since = age_of(status["since"], now=now)
        row: list[object] = [meta["namespace"], status["guest"], meta["name"], status["host"], since]
        order = f"{status['epoch']}.{status['serial']}"
        rows.append(row + ([status["state"], order] if wide else []))
    return columns(rows)


def age_of(created: str | None, *, now: datetime) -> str:
    """Return how long ago something was made, as kubectl says it: `5m`, `3h`, `12d`."""
    if not created:
        return _NONE
    seconds = int((now - datetime.fromisoformat(created).astimezone(UTC)).total_seconds())
    for unit, size, most in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{max(0, seconds) // size}{unit}"
    return f"{seconds // 86_400}d"
