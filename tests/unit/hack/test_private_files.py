"""Files with keys and tokens: private, whole, and several processes may write one at once."""

import threading
from pathlib import Path

import pytest
from kit import private_files
from kit.kubectl import Kubectl
from kit.lab.identities import Account

from tests.kit.waiting import until


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "there/token"
    path.parent.mkdir()
    path.touch(mode=0o644)
    private_files.write(path, "secret")
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_many_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    texts = [str(number) * 1000 for number in range(8)]
    broken: list[OSError] = []

    def write(text: str) -> None:
        try:
            for _ in range(50):
                private_files.write(path, text)
        except OSError as error:
            broken.append(error)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for each in writers:
        each.start()
    for each in writers:
        each.join(timeout=30)
    assert not broken
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "token"
    private_files.write(path, "former")
    with pytest.raises(UnicodeEncodeError):
        private_files.write(path, "\ud800")
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_token_and_the_note_of_whose_it_is_are_of_one_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script and the token keeper renew at once: a token that is worth nothing must not look good for ever."""
    account = Account("host-a", "agent", tmp_path / "agent.token")
    uid, asked, go_on = ["first"], threading.Event(), threading.Event()

    class Cluster(Kubectl):
        def get(self, *words: str) -> dict[str, dict[str, str]]:
            assert words == ("serviceaccount", "agent", "-n", "host-a")
            return {"metadata": {"uid": uid[0]}}

        def run(self, *words: str, **options: object) -> str:
            assert (words[0], options) == ("create", {})
            of = uid[0]
            if of == "first":
                asked.set()
                assert go_on.wait(timeout=30)
            return f"token of {of}"

    cluster = Cluster(tmp_path / "kubeconfig")
    renewers = [threading.Thread(target=account.renew, args=(cluster,)) for _ in range(2)]
    renewers[0].start()
    assert asked.wait(timeout=10)
    uid[0] = "second"
    renewers[1].start()
    until(
        lambda: "waiting for whoever renews agent.token" in capsys.readouterr().out, what="the second to wait"
    )
    go_on.set()
    for each in renewers:
        each.join(timeout=30)
    assert account.token_file.read_text() == "token of second"
    assert account.token_file.with_suffix(".account").read_text() == "second"
