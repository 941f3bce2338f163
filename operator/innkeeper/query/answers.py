"""An answer of the query API as JSON."""

from typing import Any

import msgspec
from aiohttp import web


def in_json(document: Any, *, status: int = 200) -> web.Response:
    """Return a document as the body of an answer."""
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")
