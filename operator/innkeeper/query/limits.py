"""How many questions run at once, in all and of one user; what goes beyond is sent away with the word to ask again.

Discovery is never counted: the API server asks for it to tell whether this API is there at all. Questions that wait for
hosts are counted by themselves, since a silent host holds each of them for seconds.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from innkeeper.query.refusal import refusal


class Limit:
    """Counts the questions of one kind that run."""

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._running: Counter[str] = Counter()  # by user

    @contextmanager
    def one_of(self, user: str) -> Iterator[None]:
        """Count a question while it runs.

        Raises:
            RefusedError: too many run already.
        """
        # A Counter that is asked for who is not there keeps nobody.
        is_too_much_of_one = self._running[user] >= self._most_of_one
        if is_too_much_of_one or self._running.total() >= self._most:
            whose = "your queries" if is_too_much_of_one else "queries"
            raise refusal(429, "TooManyRequests", f"too many {whose} run at once; ask again")
        self._running[user] += 1
        try:
            yield
        finally:
            self._running[user] -= 1
            if not self._running[user]:
                del self._running[user]
