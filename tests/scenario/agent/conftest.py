"""A host with its agent, in front of an API server."""

from tests.kit.agent_fixtures import host, running

__all__ = ["host", "running"]
