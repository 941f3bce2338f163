"""The aggregated API `query.innkeeper.dev`: lists and explanations from memory, for whom the API server knows.

`trust` holds the authorities, `callers` finds out who asks, `documents` says what the answers look like, `server` has the
routes. It reads the subset and writes nothing.
"""
