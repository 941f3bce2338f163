"""The operator's way to the agents themselves: over mutual TLS, past the API server.

It reads what hosts hold and tells nobody what to do: orders travel in Assignments only.
"""
