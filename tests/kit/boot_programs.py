"""Guests of a few bytes: boot sectors that start in milliseconds, even emulated, and each do one thing.

Ports are those of the q35 machine as its BIOS sets them up: 0x600 and 0x602 are the power button's status and enable
registers, 0x604 takes the order to power off.
"""

_SECTOR = 512
_POWER_OFF = bytes.fromhex("ba0406 b80020 ef")  # out 0x604, 0x2000
_HALT = bytes.fromhex("f4 ebfd")  # hlt, for ever
_ENABLE_BUTTON = bytes.fromhex("ba0206 b80001 ef")  # out 0x602, 0x100
_WAIT_FOR_BUTTON = bytes.fromhex("f4 ba0006 ed f6c401 74f6")  # hlt; until in(0x600) & 0x100

DEAF = b"\xfb" + _HALT
"""Runs on, whatever happens."""

POLITE = b"\xfb" + _ENABLE_BUTTON + _WAIT_FOR_BUTTON + _POWER_OFF + _HALT
"""Powers off when its power button is pressed."""

SHORT_LIVED = _POWER_OFF + _HALT
"""Powers off at once."""


def disk(program: bytes) -> bytes:
    """Return a raw disk of one MiB that boots the program."""
    return program.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa" + bytes(1024 * 1024 - _SECTOR)
