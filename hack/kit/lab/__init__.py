"""A lab: hosts on one machine, each with a network namespace, a mount namespace and a libvirtd of its own.

`plan` names everything, `network` joins the hosts, `machines` starts and ends them, `identities` gives each
process its own rights, `services` runs Innkeeper's processes. It is for trials and tests, never for production.
"""
