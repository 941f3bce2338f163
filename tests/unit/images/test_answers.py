"""What the image server accepts as a question, and how its answers look on the wire."""

import msgspec
import pytest

from innkeeper.images.answers import Failed, InspectRequest, Preparing, Ready

QUESTION = {
    "namespace": "team-a",
    "name": "debian",
    "source": {"directory": {"path": "debian.raw"}},
    "format": "raw",
    "digest": "sha256:" + "0" * 64,
}


def test_a_question_is_read() -> None:
    question = msgspec.convert(QUESTION, InspectRequest)
    assert question.source.directory is not None
    assert question.max_bytes is None
    assert msgspec.convert(QUESTION | {"digest": "sha512:" + "0" * 128}, InspectRequest)
    assert hash(question) == hash(msgspec.convert(QUESTION, InspectRequest))


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha256:XYZ"},
        {"digest": "md5:" + "0" * 64},
        {"digest": "sha512:" + "0" * 64},
        {"digest": "x" + "sha512:" + "0" * 128},
        {"digest": "sha256:" + "0" * 64 + "\n"},
        {"namespace": "../x"},
        {"name": "Debian"},
        {"name": ""},
        {"maxBytes": 0},
        {"source": "debian.raw"},
    ],
)
def test_a_bad_question_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(QUESTION | change, InspectRequest)


def test_the_wire_form_of_the_answers() -> None:
    def wire(answer: object) -> object:
        return msgspec.json.decode(msgspec.json.encode(answer))

    assert wire(Preparing(progress="37%")) == {"state": "Preparing", "progress": "37%"}
    ready = Ready(format="raw", size=1, virtual_size=2, digest="d", manifest_digest="m", source_version="1-x")
    assert wire(ready) == {
        "state": "Ready",
        "format": "raw",
        "size": 1,
        "virtualSize": 2,
        "digest": "d",
        "contentDigest": None,
        "manifestDigest": "m",
        "sourceVersion": "1-x",
    }
    assert wire(Failed(reason="NotFound", message="m", retryable=True)) == {
        "state": "Failed",
        "reason": "NotFound",
        "message": "m",
        "retryable": True,
    }
