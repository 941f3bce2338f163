"""An answer of the API server becomes the error whose class says what to do."""

import pytest

from innkeeper.errors import InnkeeperError
from innkeeper.kube import errors


@pytest.mark.parametrize(
    ("status", "reason", "kind", "retryable"),
    [
        (400, "BadRequest", errors.InvalidError, False),
        (401, "Unauthorized", errors.UnauthorizedError, True),
        (403, "Forbidden", errors.ForbiddenError, True),
        (404, "NotFound", errors.NotFoundError, True),
        (409, "AlreadyExists", errors.AlreadyExistsError, True),
        (409, "Conflict", errors.ConflictError, True),
        (410, "Expired", errors.GoneError, True),
        (422, "Invalid", errors.InvalidError, False),
        (429, "TooManyRequests", errors.ThrottledError, True),
        (500, "InternalError", errors.UnavailableError, True),
        (503, "", errors.UnavailableError, True),
        (504, "Timeout", errors.UnavailableError, True),
        (307, "", errors.ApiError, True),
    ],
)
def test_the_class_tells_what_to_do(
    status: int, reason: str, kind: type[errors.ApiError], *, retryable: bool
) -> None:
    error = errors.from_answer(status, reason=reason, message="because")
    assert type(error) is kind
    assert isinstance(error, InnkeeperError)
    assert (error.status, error.message, error.retryable) == (status, "because", retryable)


def test_a_namespace_that_goes_is_told_from_a_lack_of_rights() -> None:
    causes = ["NamespaceTerminating"]
    gone = errors.from_answer(403, reason="Forbidden", message="because", causes=causes)
    assert type(gone) is errors.NamespaceTerminatingError
    assert type(errors.from_answer(409, reason="Conflict", message="", causes=causes)) is errors.ConflictError


def test_a_message_fits_a_condition() -> None:
    assert len(errors.from_answer(422, reason="Invalid", message="x" * 5000).message) == 300


def test_the_server_says_when_to_come_back() -> None:
    error = errors.from_answer(429, reason="TooManyRequests", message="later", retry_after_s=7)
    assert isinstance(error, errors.ThrottledError)
    assert error.retry_after_s == 7
