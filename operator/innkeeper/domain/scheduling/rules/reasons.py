"""Why a host is ruled out: one constant a rule, the same in explanations, metrics and tests."""

from enum import StrEnum


class Lack(StrEnum):
    """What a host lacks."""

    OTHER_CLUSTER = "OtherCluster"
    CLUSTER_NOT_SELECTED = "ClusterNotSelected"
    POOL_NOT_SERVING = "PoolNotServing"
    NO_FREE_ADDRESS = "NoFreeAddress"
    HOST_NOT_SELECTED = "HostNotSelected"
    LEAVING = "Leaving"
    NOT_READY = "NotReady"
    MAINTENANCE = "Maintenance"
    UNSCHEDULABLE = "Unschedulable"
    TAINTED = "Tainted"
    REFUSED_LATELY = "RefusedLately"
    CPU = "InsufficientCpu"
    MEMORY = "InsufficientMemory"
    DISK = "InsufficientDisk"
    NOT_NEAR = "NotNear"
    NOT_APART = "NotApart"
    UNEVEN = "Uneven"
