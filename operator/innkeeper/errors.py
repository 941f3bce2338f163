"""The one tree of errors.

An error says whether trying again can help (`retryable`) and carries a `reason`, which becomes the reason of the
condition that reports it. Its message is for the person who reads the condition: what is wrong and what to change. It
never holds a traceback or a secret.
"""


class InnkeeperError(Exception):
    """An error with a stable CamelCase reason and a message that a person can act on."""

    reason: str = "InternalError"
    retryable: bool = True

    def __init__(self, message: str, *, reason: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        if retryable is not None:
            self.retryable = retryable


class TerminalError(InnkeeperError):
    """Trying again cannot help: something has to be changed first."""

    retryable = False
