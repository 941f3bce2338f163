"""Hosts: their namespaces and identities, their orders, their heartbeats, and what people read about them."""
