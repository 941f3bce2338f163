"""How kopf knows what it handled already: from the status that our own workers write, so no copy of the spec is kept.

An object is settled when its Ready condition was made from its present generation; an Image only when that is True,
because what is wrong with it may mend itself outside the API server.
"""

from collections.abc import Iterable
from typing import Any

import kopf


class SettledByStatus(kopf.DiffBaseStorage):
    """Takes a settled object for handled, and any other for new."""

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return the object itself when it is settled: nothing differs then."""
        return self.build(body=body) if is_settled(body) else None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


def is_settled(body: Any) -> bool:
    """Tell whether an object's status speaks of its present generation."""
    conditions: Iterable[Any] = body.get("status", {}).get("conditions") or []
    generation = body.get("metadata", {}).get("generation")
    ready = next((each for each in conditions if each.get("type") == "Ready"), None)
    if ready is None or ready.get("observedGeneration") != generation:
        return False
    return bool(body.get("kind") != "Image" or ready.get("status") == "True")
