"""The agent's unit: it leaves alone what must outlive the agent, and closes nothing that the agent needs."""

import configparser
from pathlib import Path

UNIT = Path(__file__).parents[3] / "packaging" / "systemd" / "innkeeper-agent.service"


def service() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names of systemd have capitals
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


def test_dhcp_servers_and_streams_outlive_a_restart_of_the_agent() -> None:
    """They are in its control group, whatever session they made for themselves."""
    assert service()["KillMode"] == "process"
    assert service()["OOMPolicy"] == "continue"


def test_dev_kvm_stays_open() -> None:
    """With a list of devices, given or implied, systemd closes /dev/kvm: the agent would take KVM for broken."""
    assert not {"DeviceAllow", "DevicePolicy", "PrivateDevices", "ProtectClock"} & service().keys()
    assert "CAP_SYS_TIME" in service()["CapabilityBoundingSet"]
