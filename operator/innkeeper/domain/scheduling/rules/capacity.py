"""A host promises no more than it may: by what was promised, never by what happens to be free now.

Three rules, so that the counts tell which resource is short.
"""

from innkeeper.domain.scheduling.rules.rule import Rule

CPU = Rule("cpu", lambda request, host: request.amounts.cpu_millis <= host.free.cpu_millis, "short of cpu")
MEMORY = Rule(
    "memory", lambda request, host: request.amounts.memory_bytes <= host.free.memory_bytes, "short of memory"
)
DISK = Rule("disk", lambda request, host: request.amounts.disk_bytes <= host.free.disk_bytes, "short of disk")
