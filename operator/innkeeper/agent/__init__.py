"""The agent: one per host, the canonical store of the guests on it.

It obeys signed orders only, keeps each of them in a local database, and runs guests on while the API server is
away. An absence or a deletionTimestamp is never an order to it.
"""
