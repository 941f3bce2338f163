"""Where a guest's files lie: under the state directory, by Guest ID, never by a name that a user chose."""

import re
from dataclasses import dataclass
from pathlib import Path

from innkeeper.errors import TerminalError

_GUEST_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def is_guest_id(text: str) -> bool:
    """Tell whether the text may become part of a path."""
    return _GUEST_ID.fullmatch(text) is not None


@dataclass(frozen=True)
class GuestFiles:
    """The files of one guest."""

    directory: Path

    @property
    def disk(self) -> Path:
        """The overlay: all that the guest wrote."""
        return self.directory / "disk.qcow2"

    @property
    def seed(self) -> Path:
        """What cloud-init reads."""
        return self.directory / "seed.iso"

    @property
    def console_log(self) -> Path:
        """What the guest wrote to its console."""
        return self.directory / "console.log"


@dataclass(frozen=True)
class StatePaths:
    """The agent's state directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The agent's database."""
        return self.root / "agent.db"

    @property
    def lock(self) -> Path:
        """Held by the one agent that works here."""
        return self.root / "agent.lock"

    @property
    def images(self) -> Path:
        """Images that guests here use."""
        return self.root / "images"

    @property
    def network(self) -> Path:
        """What the DHCP servers of this host read."""
        return self.root / "network"

    @property
    def socket(self) -> Path:
        """Where the agent listens to people at this host."""
        return self.root / "agent.sock"

    @property
    def guests(self) -> Path:
        """A directory for each guest."""
        return self.root / "guests"

    @property
    def forgotten_guests(self) -> Path:
        """The directories of guests that a person took off this host."""
        return self.root / "forgotten"

    def forgotten(self, guest_id: str) -> Path:
        """Where the files of a guest lie that a person took off this host."""
        return self.forgotten_guests / self.guest(guest_id).directory.name

    def guest(self, guest_id: str) -> GuestFiles:
        """Return the files of a guest.

        Raises:
            TerminalError: the ID is none.
        """
        if not is_guest_id(guest_id):
            raise TerminalError(f"{guest_id!r} is no Guest ID", reason="OrderInvalid")
        return GuestFiles(self.guests / guest_id)
