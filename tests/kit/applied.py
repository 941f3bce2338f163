"""A cluster's objects as tests apply and read them, with kubectl as a person would; waiting for what becomes of them.

Waiting is always for a condition with a deadline.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from kit.kubectl import Kubectl
from tests.kit.waiting import NotSoError, until


class Applied(Protocol):
    """Whoever has a kubectl."""

    @property
    def kubectl(self) -> Kubectl:
        """The administrator's kubectl."""
        ...

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects as a person would."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl.run("apply", "-f", "-", stdin=text)

    def get(self, kind: str, name: str, *, namespace: str = "default") -> dict[str, Any] | None:
        """Return an object or None."""
        return self.kubectl.get(kind, name, "-n", namespace)

    def guest(self, name: str) -> dict[str, Any]:
        """Return a guest that must be there."""
        found = self.get("guest", name)
        assert found is not None, f"guest {name} is not there"
        return found

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        """Return a condition of a guest, or an empty one."""
        conditions = self.guest(name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_ready(self, name: str, *, reason: str, within_s: float = 90) -> dict[str, Any]:
        """Wait until Ready is True for a reason and speaks of the newest generation; return the guest."""

        def is_so() -> dict[str, Any] | None:
            guest, ready = self.guest(name), self.condition(name)
            wanted = ("True", reason, guest["metadata"]["generation"])
            got = (ready.get("status"), ready.get("reason"), ready.get("observedGeneration"))
            return guest if got == wanted else None

        try:
            return until(is_so, what=f"guest {name} to be Ready, {reason}", within_s=within_s)
        except NotSoError as error:
            raise NotSoError(f"{error}\n{json.dumps(self.guest(name).get('status'), indent=1)}") from None

    def guest_id(self, name: str) -> str:
        """Return the Guest ID."""
        return str(self.guest(name)["metadata"]["uid"])

    def host_of(self, name: str) -> str:
        """Return the host that a guest is bound to."""
        return str(self.guest(name)["status"]["host"])
