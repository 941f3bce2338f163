"""Tokens of service accounts as an API server makes them; nobody signed these, so they open nothing."""

import base64
import json
from datetime import datetime, timedelta
from typing import Any

from tests.kit.clock import START


def token(
    *,
    host: str = "inn-a",
    issued: datetime = START,
    lifetime_s: float = 3600,
    secret: str | None = "agent-join",  # noqa: S107 - a Secret's name
    **claims: Any,
) -> str:
    """Return the token of a host's agent; `claims` replace what it says."""
    kubernetes: dict[str, Any] = {
        "namespace": f"host-{host}",
        "serviceaccount": {"name": "agent", "uid": "1"},
    }
    if secret is not None:
        kubernetes["secret"] = {"name": secret, "uid": "2"}
    said = {
        "iat": int(issued.timestamp()),
        "exp": int((issued + timedelta(seconds=lifetime_s)).timestamp()),
        "kubernetes.io": kubernetes,
        **claims,
    }
    return ".".join(_part(each) for each in ({"alg": "none"}, said, {}))


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
