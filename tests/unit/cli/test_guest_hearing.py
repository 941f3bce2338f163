"""What kubectl says while it runs: questions reach the person, warnings are told, its last words become the error."""

import pytest

from innkeeper.cli.guest.hearing import PAUSES_BEFORE_END, Hearing

ERROR = 'Error from server (NotFound): guests "x" not found\n'
LOG = 'E1130 11:13:08.505639   13747 memcache.go:381] "Couldn\'t get current server API group list"\n'
REFUSED = "The connection to the server api:6443 was refused - did you specify the right host or port?\n"


class Person:
    """Sees what is passed on."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.warned: list[str] = []
        self.hearing = Hearing(person=self.seen.append, warn=self.warned.append)


@pytest.mark.parametrize(
    ("parts", "seen", "words"),
    [
        (["Open https://login and enter AB", "CD\n"], ["Open https://login and enter ABCD\n"], None),
        ([ERROR], [], ERROR),
        (["Error fr", ERROR.removeprefix("Error fr")], [], ERROR),
        (["Logging in\n", ERROR], ["Logging in\n"], ERROR),
        ([LOG, LOG, REFUSED], [], REFUSED),
        ([LOG, "Code: 7\n"], ["Code: 7\n"], None),
        ([LOG], [], LOG),
        # What a server wrote into an error of several lines is no word of a plug-in.
        ([ERROR, "\x1b]52;c;eA==\x07\n"], [], f"{ERROR}\x1b]52;c;eA==\x07"),
        (["\x1b[1mCode\x1b[0m: 7\n"], ["Code: 7\n"], None),
    ],
)
def test_each_word_goes_where_it_belongs(parts: list[str], seen: list[str], words: str | None) -> None:
    person = Person()
    for part in parts:
        person.hearing.hear(part)
    person.hearing.end()
    assert person.seen == seen
    if words is not None:
        assert person.hearing.words() == words.strip()


def test_a_question_without_a_line_break_is_passed_on_while_somebody_waits() -> None:
    person = Person()
    person.hearing.hear("Password: ")
    assert person.seen == []
    person.hearing.pause()
    assert person.seen == ["Password: "]
    # The person's own line break is not heard: kubectl's words stand right behind.
    person.hearing.hear(ERROR)
    assert person.hearing.words() == ERROR.strip()


@pytest.mark.parametrize("begun", ["Err", "error: co", ERROR.rstrip(), "Warning", REFUSED[:30]])
def test_what_may_be_kubectls_own_is_held_back(begun: str) -> None:
    person = Person()
    person.hearing.hear(begun)
    person.hearing.pause()
    assert person.seen == []


NO_BROWSER = [
    'error: could not open the browser: exec: "xdg-open": executable file not found in $PATH\n',
    "\n",
    "Please visit the following URL in your browser manually: http://localhost:8000\n",
]


def test_a_plug_in_whose_words_begin_as_kubectls_last_do_is_heard_while_it_waits() -> None:
    person = Person()
    person.hearing.hear("".join(NO_BROWSER))
    assert person.seen == []
    for _ in range(2 * PAUSES_BEFORE_END):
        person.hearing.pause()
    assert person.seen == ["".join(NO_BROWSER)]
    person.hearing.hear("Enter code: ")
    person.hearing.pause()
    assert person.seen[1:] == ["Enter code: "]
    person.hearing.hear(ERROR)
    person.hearing.end()
    assert person.hearing.words() == ERROR.strip()
    assert len(person.seen) == 2


def test_where_nobody_sees_it_such_words_stand_behind_the_error() -> None:
    hearing = Hearing(person=None, warn=[].append)
    hearing.hear("".join(NO_BROWSER))
    for _ in range(PAUSES_BEFORE_END):
        hearing.pause()
    hearing.hear(ERROR)
    assert (hearing.words(), hearing.unseen()) == (ERROR.strip(), "".join(NO_BROWSER).strip())


def test_last_words_stay_the_error_though_kubectl_is_slow_to_end() -> None:
    person = Person()
    person.hearing.hear(ERROR)
    for _ in range(PAUSES_BEFORE_END):
        person.hearing.pause()
    person.hearing.end()
    assert person.hearing.words() == ERROR.strip()


def test_warnings_are_told_without_what_a_terminal_obeys() -> None:
    person = Person()
    person.hearing.hear("Warning: use v2\x1b[2J\n")
    assert (person.warned, person.seen) == ([r"Warning: use v2\x1b[2J"], [])


def test_where_nobody_sees_it_all_of_it_is_in_the_error() -> None:
    hearing = Hearing(person=None, warn=[].append)
    hearing.hear(f"token expired\n{ERROR}")
    assert (hearing.words(), hearing.unseen()) == (ERROR.strip(), "token expired")


def test_what_has_no_end_is_kept_in_part() -> None:
    hearing = Hearing(person=None, warn=[].append)
    for _ in range(100):
        hearing.hear("x" * 9999 + "\n")
    assert len(hearing.words()) < 100_000
