"""Errors of the API server, as one tree under `InnkeeperError`.

The class tells what to do, the message is the API server's own, cut to a length that fits a condition.
"""

from collections.abc import Collection

from innkeeper.errors import InnkeeperError

MAX_MESSAGE = 300
NAMESPACE_TERMINATING = "NamespaceTerminating"  # a cause, as the API server names it


class ApiError(InnkeeperError):
    """The API server refused a call, or could not be reached (`status` 0)."""

    reason = "ApiError"

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.status = status


class NotFoundError(ApiError):
    """The object, its namespace or its kind is not there (404)."""

    reason = "NotFound"


class AlreadyExistsError(ApiError):
    """An object of that name is there (409, AlreadyExists)."""

    reason = "AlreadyExists"


class ConflictError(ApiError):
    """The object changed since it was read, or a precondition does not hold (409)."""

    reason = "Conflict"


class GoneError(ApiError):
    """The resourceVersion is too old for a watch or a continued list (410)."""

    reason = "Gone"


class InvalidError(ApiError):
    """The API server refuses the object as it is (400, 422)."""

    reason = "Invalid"
    retryable = False


class UnauthorizedError(ApiError):
    """The credentials are not, or no longer, good (401)."""

    reason = "Unauthorized"


class ForbiddenError(ApiError):
    """The identity lacks the right (403), or the namespace is being deleted."""

    reason = "Forbidden"


class NamespaceTerminatingError(ForbiddenError):
    """Nothing is made in a namespace that is being deleted."""


class ThrottledError(ApiError):
    """The API server asks to come back later (429)."""

    reason = "Throttled"

    def __init__(self, message: str, *, status: int = 429, retry_after_s: float = 1.0) -> None:
        super().__init__(message, status=status)
        self.retry_after_s = retry_after_s


class UnavailableError(ApiError):
    """The API server is away, too slow, or failed inside (5xx, no connection, deadline)."""

    reason = "Unavailable"


class UnreadableError(ApiError):
    """The answer does not have the form that was expected: not JSON, or an object that does not fit its view."""

    reason = "Unreadable"


def from_answer(
    status: int,
    *,
    reason: str,
    message: str,
    causes: Collection[str] = (),
    retry_after_s: float | None = None,
) -> ApiError:
    """Return the error that an answer of the API server means."""
    if status == 403 and NAMESPACE_TERMINATING in causes:  # noqa: PLR2004 - HTTP's own number
        return NamespaceTerminatingError(message, status=status)
    if status == 409:  # noqa: PLR2004 - HTTP's own number
        kind = AlreadyExistsError if reason == "AlreadyExists" else ConflictError
        return kind(message, status=status)
    if status == 429:  # noqa: PLR2004 - HTTP's own number
        return ThrottledError(message, retry_after_s=retry_after_s or 1.0)
    if status >= 500:  # noqa: PLR2004 - HTTP's own number
        return UnavailableError(message, status=status)
    kinds: dict[int, type[ApiError]] = {
        400: InvalidError,
        401: UnauthorizedError,
        403: ForbiddenError,
        404: NotFoundError,
        410: GoneError,
        422: InvalidError,
    }
    return kinds.get(status, ApiError)(message, status=status)
