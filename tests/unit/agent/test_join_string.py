"""The line that an admin carries to a host: what it keeps, and what is no such line."""

import base64
import json

import pytest

from innkeeper.agent.joining import string
from innkeeper.agent.joining.string import JoinString, JoinStringError
from innkeeper.agent.trust import encode_keys
from tests.kit.account_tokens import token
from tests.kit.agent_orders import KEYS

DOCUMENT = {
    "version": 1,
    "host": "inn-a",
    "server": "https://api:6443/",
    "caData": base64.b64encode(b"authority").decode(),
    "orderKeys": encode_keys(KEYS),
    "token": token(),
}


def line(**changes: object) -> str:
    return base64.b64encode(json.dumps({**DOCUMENT, **changes}).encode()).decode()


def test_what_goes_in_comes_out() -> None:
    given = JoinString.model_validate(DOCUMENT)
    assert string.decode(given.encode()) == given
    credentials = given.credentials
    assert (credentials.server, credentials.ca_data) == ("https://api:6443", "authority")
    assert credentials.bearer() == token()


def test_a_terminal_may_have_broken_the_line() -> None:
    whole = line()
    assert string.decode(f"  {whole[:76]}\r\n{whole[76:]}\n").host == "inn-a"


def test_the_token_is_shown_by_no_accident() -> None:
    assert token() not in repr(string.decode(line()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no join token|cannot be used"),
        ("not base64 at all!", "copy the whole line"),
        (line()[:200], "was all of it copied"),
        ("A" * 200_000, "more than"),
        (base64.b64encode(b"\xff\xfe").decode(), "cannot be used"),
        (line(version=2), "version"),
        (line(host="../x"), "host"),
        (line(server="file:///etc/passwd"), "server"),
        (line(server="https://a b"), "server"),
        (line(orderKeys={}), "orderKeys"),
        (line(orderKeys={"0" * 16: "AAAA"}), "is not the base64"),
        (line(caData="%%%"), "was all of it copied"),
        (line(token="secret"), "no token of a service account"),
        (line(token=token(host="inn-b")), "not one of the host inn-a"),
        (line(more="of it"), "more"),
    ],
)
def test_what_is_no_join_token_is_refused_without_being_repeated(text: str, why: str) -> None:
    with pytest.raises(JoinStringError, match=why) as refused:
        string.decode(text)
    assert token() not in refused.value.message
