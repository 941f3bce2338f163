"""Copies of the agent's store: made while it works, and made into a store again by a person."""
