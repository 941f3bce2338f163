"""A snapshot is used whole or not at all, and says what it was made from."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.state import snapshot
from innkeeper.state.snapshot import Kind, Origin, Refused, Snapshot, SnapshotRefusedError
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from innkeeper.views.meta import Meta, View
from tests.kit import objects
from tests.kit.objects import view

VIEWS: dict[str, type[View]] = {"guests": Guest, "hosts": Host}
GUESTS = [view(objects.guest(f"g{number}", number=number), Guest) for number in range(3)]
HOSTS = [view(objects.host("a"), Host)]
KINDS = {"guests": Kind("17", GUESTS), "hosts": Kind("12", HOSTS)}
ORIGIN = Origin("here", "first", "m1")
CONTENT = snapshot.encode(KINDS, views=VIEWS, origin=ORIGIN, made_at=objects.NOW)


def kinds(found: Snapshot) -> dict[str, Kind]:
    return {name: Kind(each.resource_version, each.objects()) for name, each in found.parts.items()}


def refusal(content: bytes) -> Refused:
    with pytest.raises(SnapshotRefusedError) as caught:
        kinds(snapshot.opened(content, views=VIEWS))
    return caught.value.why


def test_what_was_written_is_read() -> None:
    found = snapshot.opened(CONTENT, views=VIEWS)
    assert (found.origin, found.made_at, kinds(found)) == (ORIGIN, objects.NOW, KINDS)


def test_a_kind_that_is_read_otherwise_by_now_is_left_out() -> None:
    class Other(View, frozen=True, kw_only=True):
        metadata: Meta
        added: str = "new"

    found = snapshot.opened(CONTENT, views={"guests": Other, "hosts": Host})
    assert kinds(found) == {"hosts": KINDS["hosts"]}


def test_other_words_about_a_kind_change_nothing() -> None:
    """A docstring that was mended must not cost a start from lists."""

    def told(words: str) -> type[View]:
        class Told(View, frozen=True, kw_only=True):
            __doc__ = words
            metadata: Meta
            description: str = ""

        return Told

    before, after = told("As it was."), told("In better words.")
    kept = Kind("5", [before(metadata=Meta(name="a"), description="kept")])
    content = snapshot.encode({"told": kept}, views={"told": before}, origin=ORIGIN, made_at=objects.NOW)
    found = snapshot.opened(content, views={"told": after}).parts["told"]
    assert found.objects() == [after(metadata=Meta(name="a"), description="kept")]


def test_a_field_more_or_less_is_noticed_whatever_its_name() -> None:
    class Told(View, frozen=True, kw_only=True):
        metadata: Meta
        description: str = ""

    with_it = Told

    class Told(View, frozen=True, kw_only=True):  # type: ignore[no-redef] # the same kind in another version
        metadata: Meta

    assert snapshot.fields_of(with_it) != snapshot.fields_of(Told)


def test_another_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FORM", snapshot.FORM + 1)
    later = snapshot.encode(KINDS, views=VIEWS, origin=ORIGIN, made_at=objects.NOW)
    monkeypatch.undo()
    assert refusal(later) is Refused.OTHER_FORM


def test_a_file_of_the_form_before_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It differs in its digest alone: an upgrade costs no start from lists, and loses no name of a host."""
    monkeypatch.setattr(snapshot, "FORM", 2)
    monkeypatch.setattr(
        snapshot, "_digest", lambda content: hashlib.blake2b(content, digest_size=32).digest()
    )
    before = snapshot.encode(KINDS, views=VIEWS, origin=ORIGIN, made_at=objects.NOW)
    monkeypatch.undo()
    assert kinds(snapshot.opened(before, views=VIEWS)) == KINDS


@given(st.integers(0, len(CONTENT) - 1))
def test_a_cut_file_is_refused(length: int) -> None:
    assert refusal(CONTENT[:length]) is Refused.DAMAGED


@given(st.integers(0, len(CONTENT) * 8 - 1))
def test_a_single_wrong_bit_is_found(bit: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[bit // 8] ^= 1 << bit % 8
    assert refusal(bytes(damaged)) is Refused.DAMAGED


@given(st.binary(max_size=200))
def test_strange_content_with_a_right_digest_is_refused(body: bytes) -> None:
    content = snapshot.MAGIC + body
    assert refusal(content + snapshot._digest(content)) is Refused.OTHER_FORM


def test_an_absent_file_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", Refused.ABSENT), (tmp_path, Refused.UNREADABLE)):
        with pytest.raises(SnapshotRefusedError) as caught:
            snapshot.read(path)
        assert caught.value.why is why
