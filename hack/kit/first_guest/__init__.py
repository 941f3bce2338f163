"""What a first guest costs: API writes and milliseconds on simulated hosts, and where the time of a real one goes.

`stage` starts and ends all that is measured, `load` applies guests, `hosts` runs simulated agents, `writes` reads the
audit log; `real_guest` looks at one real machine.
"""
