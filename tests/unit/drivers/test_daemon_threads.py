"""Threads that end with the process, whatever hangs in them."""

import subprocess
import sys
import threading

import pytest

from innkeeper.agent.drivers.libvirt.daemon_threads import DaemonThreads
from tests.kit.waiting import until

HANGS = """
import threading
from innkeeper.agent.drivers.libvirt.daemon_threads import DaemonThreads
threads, begun = DaemonThreads(most=2, name="t"), threading.Event()
def hang():
    begun.set()
    threading.Event().wait()
threads.submit(hang)
begun.wait()
threads.shutdown()
print("over")
"""


def test_a_process_ends_while_a_call_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"over\n", b"")


def test_no_more_calls_than_threads_are_begun_and_the_rest_have_their_turn() -> None:
    threads, go_on = DaemonThreads(most=2, name="t"), threading.Event()
    calls = [threads.submit(go_on.wait, 60) for _ in range(5)]
    until(lambda: sum(each.running() for each in calls) == 2, what="two calls")
    go_on.set()
    assert [each.result(60) for each in calls] == [True] * 5
    threads.shutdown()


def test_a_free_thread_is_used_again_and_an_error_reaches_who_asked() -> None:
    threads = DaemonThreads(most=2, name="t")
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(60)
    until(lambda: threads._free._value == 1, what="a free thread")
    assert threads.submit(lambda: threading.current_thread().name).result(60) == "t_0"
    threads.shutdown()


def test_what_has_not_begun_is_dropped_at_the_end() -> None:
    threads, go_on = DaemonThreads(most=1, name="t"), threading.Event()
    first, second = threads.submit(go_on.wait, 60), threads.submit(go_on.wait, 60)
    until(first.running, what="the first call")
    threads.shutdown()
    assert second.cancelled()
    with pytest.raises(RuntimeError, match="no more work"):
        threads.submit(go_on.wait, 60)
    go_on.set()
    assert first.result(60)
