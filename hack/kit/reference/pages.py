"""Every reference page beside that of the API, by its name in `docs/reference`, with what renders it."""

from collections.abc import Callable

from kit.reference import alerts, cli, conditions, metrics, settings

PAGES: dict[str, Callable[[], str]] = {
    "alerts.md": alerts.render,
    "cli.md": cli.render,
    "conditions.md": conditions.render,
    "metrics.md": metrics.render,
    "settings.md": settings.render,
}
