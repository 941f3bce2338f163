"""Flavors: nothing but a check. A Flavor has no status; what the schema let pass is told in the log.

A guest of such a Flavor says in its own conditions what is wrong.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from innkeeper.domain.quantity import bytes_of, cpu_millis

log = structlog.get_logger(__name__)


def check_flavor(body: Mapping[str, Any]) -> bool:
    """Tell whether a Flavor's amounts can be read; log where not."""
    spec = body.get("spec", {})
    try:
        cpu_millis(spec["cpu"])
        bytes_of(spec["memory"])
        bytes_of(spec["disk"])
    except (KeyError, ValueError) as error:
        log.warning("flavor_invalid", flavor=body.get("metadata", {}).get("name"), message=str(error))
        return False
    return True
