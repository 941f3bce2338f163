"""How much of a flood the agent reads at once."""

import socket

from innkeeper.agent.net import wire


def test_a_flood_is_read_in_parts() -> None:
    """Others of the agent have their turn between them; nothing is lost."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        far.setblocking(False)
        sent = [bytes([each]) for each in range(100)]
        for each in sent:
            near.send(each)
        first, second = list(wire._frames(far)), list(wire._frames(far))
    assert (len(first), first + second) == (64, sent)
