"""stub"""
from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class Run:
    agent_ms: float
    image_ms: float
    libvirt_ms: float
    qemu_ms: float
def measure(*, runs): raise NotImplementedError
