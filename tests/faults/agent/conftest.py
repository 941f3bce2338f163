"""A host with its agent, in front of an API server; and one with three guests and a clock that the test moves."""

from tests.kit.agent_fixtures import host, running
from tests.kit.three_guests import three

__all__ = ["host", "running", "three"]
