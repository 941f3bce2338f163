"""The agent's own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUILD_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class AgentFigures:
    """Counters, gauges and histograms, registered where the caller says."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.build_seconds = Histogram(
            "innkeeper_agent_build_seconds",
            "Time of a build, or of a later start, by where it was spent: agent (its own), hypervisor, image.",
            ["where"],
            buckets=_BUILD_BUCKETS,
            registry=registry,
        )
        self.orders = Counter(
            "innkeeper_agent_orders",
            "Orders that were read, by what they meant.",
            ["meaning"],
            registry=registry,
        )
        self.job_failures = Counter(
            "innkeeper_agent_job_failures",
            "Failed jobs by kind and reason.",
            ["job", "reason"],
            registry=registry,
        )
        self.restarts = Counter(
            "innkeeper_agent_restarts",
            "Guests started again after they ended by themselves.",
            registry=registry,
        )
        self.api_answers = Counter(
            "innkeeper_agent_api_answers",
            "Answers of the host API by endpoint and HTTP status.",
            ["endpoint", "code"],
            registry=registry,
        )
        self.api_refused = Counter(
            "innkeeper_agent_api_refused",
            "Connections to the host API that were closed before a request: Handshake, TooMany.",
            ["why"],
            registry=registry,
        )
        self.guests = Gauge(
            "innkeeper_agent_guests", "Guests that this host promised to run.", registry=registry
        )
        self.domains = Gauge(
            "innkeeper_agent_domains_running", "Machines of ours that live now.", registry=registry
        )
