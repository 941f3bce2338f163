"""The in-memory subset of what the API server holds: enough to decide, and nothing that only a host knows."""
