"""What the agent tells the operator itself, past the API server: its store, over mutual TLS."""
