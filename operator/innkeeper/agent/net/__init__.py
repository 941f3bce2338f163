"""The host's network: bridges, who may send what, DHCP and router advertisements, and who has an address already."""
