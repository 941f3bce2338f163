"""The Guest of a dry run: a manifest that somebody sends, as the Guest that it would be if it were created now.

It takes name and labels of what was sent and nothing else of its metadata: an ID, a UID or an age that somebody wrote
there would be another guest's. CEL rules are the API server's; here the models check.
"""

import json
from datetime import datetime
from typing import Any

import msgspec
import pydantic

from innkeeper.api.v1alpha1.guest import Guest as GuestModel
from innkeeper.clock import rfc3339
from innkeeper.query import documents
from innkeeper.query.refusal import RefusedError, refusal
from innkeeper.views.guest import Guest

GUEST_ID = "dry-run"  # no guest has it: theirs are UUIDs


def manifest(body: bytes, namespace: str, *, now: datetime) -> Guest:
    """Return the Guest of a dry run in a namespace.

    Raises:
        RefusedError: the body holds no Guest, or one that could not be created.
    """
    try:
        document = json.loads(body)["spec"]["guest"]
        sent = document.get("metadata") or {}
        metadata = {
            "name": sent.get("name") or "dry-run",
            "namespace": namespace,
            "labels": sent.get("labels") or {},
            "uid": GUEST_ID,
            "creationTimestamp": rfc3339(now),
        }
        guest = {"metadata": metadata, "spec": document["spec"]}
        GuestModel.model_validate(guest)
        return msgspec.convert({**guest, "status": {}}, Guest)
    except pydantic.ValidationError as error:
        raise _invalid(error) from error
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        message = "the body must hold spec.guest, a Guest with metadata and spec"
        raise refusal(400, "BadRequest", message) from error


def _invalid(error: pydantic.ValidationError) -> RefusedError:
    causes = [_cause(each) for each in error.errors()]
    told = "; ".join(f"{each['field']}: {each['message']}" for each in causes)
    return RefusedError(documents.error(422, "Invalid", told, causes=causes))


def _cause(error: Any) -> dict[str, str]:
    field = ".".join(str(part) for part in error["loc"])
    return {"field": field, "message": error["msg"], "reason": "FieldValueInvalid"}
