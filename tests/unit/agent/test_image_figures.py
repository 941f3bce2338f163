"""The bytes of images: what the streaming process counted is added once, whoever of the two is started again."""

from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent.figures import ImageFigures
from innkeeper.agent.net.drops import Drops
from innkeeper.agent.streaming.messages import ImageStatus, Mode
from innkeeper.telemetry.families import MOST_GUESTS


@dataclass
class Scene:
    """The figures of one agent."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    figures: ImageFigures = field(init=False)

    def __post_init__(self) -> None:
        self.figures = ImageFigures(self.registry)

    def told(self, *, server: int, host: int = 0, name: str = "a") -> None:
        status = ImageStatus(
            name=name,
            guests=(),
            mode=Mode.STREAMING,
            here=0,
            total=9,
            clients=1,
            from_origin=server,
            from_host=host,
        )
        self.figures.streamed({name: status})

    def bytes_of(self, source: str) -> float | None:
        return self.registry.get_sample_value("innkeeper_agent_image_bytes_total", {"source": source})


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_counts_are_added_as_they_rise(scene: Scene) -> None:
    scene.told(server=10, host=5)
    scene.told(server=30, host=5)
    assert (scene.bytes_of("server"), scene.bytes_of("host")) == (30, 5)


def test_a_new_streaming_process_counts_from_zero(scene: Scene) -> None:
    scene.told(server=30)
    scene.told(server=4)
    assert scene.bytes_of("server") == 34


def test_what_was_brought_before_the_agent_began_is_not_counted_again(scene: Scene) -> None:
    scene.figures.goes_on(["a"])
    scene.told(server=30)
    scene.told(server=31)
    scene.told(server=7, name="b")
    assert scene.bytes_of("server") == 8


def test_only_so_many_guests_are_told_by_name_those_with_the_most_drops() -> None:
    registry = CollectorRegistry()
    drops = Drops(registry)
    drops.counts = {(f"guest-{number}", "mac"): number for number in range(MOST_GUESTS + 5)}
    found = [each for family in registry.collect() for each in family.samples]
    assert len(found) == MOST_GUESTS
    assert min(each.value for each in found) == 5
