"""Which address: what a pool may give, and in which order a guest asks for it.

Pools are intervals, never lists of addresses, so a /8 costs as much as a /30.
"""
