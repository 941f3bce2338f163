"""Every reference page beside that of the API, by its name in `docs/reference`, with what renders it."""

from collections.abc import Callable

from kit.reference import cli, conditions, settings

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli.render,
    "conditions.md": conditions.render,
    "settings.md": settings.render,
}
