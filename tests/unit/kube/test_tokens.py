"""What a token says of itself, and texts that are none."""

from datetime import timedelta

import pytest

from innkeeper.kube.tokens import BoundTo, Token, TokenUnreadableError
from tests.kit.account_tokens import token
from tests.kit.clock import START


def test_a_token_says_whose_it_is_and_when_it_ends() -> None:
    found = Token.read(token(lifetime_s=600))
    assert (found.namespace, found.account, found.secret) == (
        "host-inn-a",
        "agent",
        BoundTo("Secret", "agent-join", "2"),
    )
    assert (found.issued, found.expires) == (START, START + timedelta(seconds=600))
    assert found.after(0.5) == START + timedelta(seconds=300)


def test_its_value_stands_in_no_message() -> None:
    assert token() not in repr(Token.read(token()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "a.b.c",
        "..",
        token(exp="never"),
        token(exp=1e300),
        token(exp=None),
        token() + "x" * 70_000,
        "a.\N{SNOWMAN}.c",
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenUnreadableError):
        Token.read(text)
