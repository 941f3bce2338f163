"""Who gets a place for a stream when many want one."""

from contextlib import ExitStack

import pytest

from innkeeper.images.contents import BusyError
from innkeeper.images.places import Places
from innkeeper.images.signing import BlobName


def blob(namespace: str, name: str) -> BlobName:
    return BlobName(namespace, name, "sha256:1")


def test_no_image_and_no_namespace_gets_all_places() -> None:
    places = Places(8)
    with ExitStack() as held:
        for name in ("debian", "debian"):
            held.enter_context(places.place(blob("team-a", name)))
        with (
            pytest.raises(BusyError, match="2 streams of this image"),
            places.place(blob("team-a", "debian")),
        ):
            pass
        for name in ("fedora", "fedora"):
            held.enter_context(places.place(blob("team-a", name)))
        with (
            pytest.raises(BusyError, match="4 streams of this namespace"),
            places.place(blob("team-a", "arch")),
        ):
            pass
        for name in ("debian", "debian", "arch", "arch"):
            held.enter_context(places.place(blob("team-b", name)))
        assert places.taken == 8
        with pytest.raises(BusyError, match="8 streams are open"), places.place(blob("team-c", "debian")):
            pass


def test_a_place_that_was_left_is_given_again() -> None:
    places = Places(4)
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), places.place(blob("team-a", "debian")):
            raise ZeroDivisionError
    assert places.taken == 0


def test_where_there_is_one_place_everyone_may_have_it() -> None:
    with Places(1).place(blob("team-a", "debian")):
        pass
