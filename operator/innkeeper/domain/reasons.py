"""Every condition type and reason, each defined once.

A reason is part of the API: alerts and scripts match on it. The sentence behind each says when it is used.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    """Types of conditions over all kinds."""

    IMAGE_RESOLVED = "ImageResolved"  # of a Guest: its image is known, and may be used
    SCHEDULED = "Scheduled"  # of a Guest: it has a host, or the message counts why not
    ADDRESSES_ASSIGNED = "AddressesAssigned"  # of a Guest: its addresses are claimed
    READY = "Ready"  # of every kind: it is as its spec wants; a Guest's reason is its step
    EXHAUSTED = "Exhausted"  # of an IPPool: no address of it is free
    IN_USE = "InUse"  # of an Image or IPPool, present only while its deletion waits for guests
    MAINTENANCE = "Maintenance"  # of a Host, present only while that is asked for
    SOURCE_UNREACHABLE = (
        "SourceUnreachable"  # of an Image that is Ready, while its source cannot be looked at
    )
    RECONCILING = (
        "Reconciling"  # of a Guest, present only while Ready is True of what it was asked for before
    )
    STALLED = "Stalled"  # present only while something cannot go on until a person changes something


class Power(StrEnum):
    """What the user wants the guest to be."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class Desired(StrEnum):
    """What an order asks of the host. Only `Destroyed` removes a guest."""

    RUNNING = "Running"
    STOPPED = "Stopped"
    SUPERSEDED = "Superseded"  # it lives elsewhere: be off, keep the disk, never start it
    DESTROYED = "Destroyed"


class Storage(StrEnum):
    """When a guest may start: `Guest.spec.storage`."""

    STREAM = "Stream"  # while its image is still arriving
    COPY = "Copy"  # once all of its image is on the host


class RestartPolicy(StrEnum):
    """What the agent does when the guest's machine ends by itself."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class OrderOutcome(StrEnum):
    """What the agent made of an order."""

    ACCEPTED = "Accepted"
    REFUSED = "Refused"  # the host cannot keep the promise; final for this epoch; holds nothing
    DESTROYED = "Destroyed"  # the guest is gone and a tombstone kept
    SUPERSEDED = "Superseded"  # the host holds a higher (epoch, serial): see `held`
    INVALID = "Invalid"  # forged, for another host or store, or not readable: nothing was done


class OrphanPolicy(StrEnum):
    """What becomes of guests without an object that nobody has said a word about. None is ever removed by itself."""

    KEEP = "Keep"  # they run on and are told of
    ADOPT = "Adopt"  # their objects are made anew


NO_REASON = "None"
"""What an object is counted under whose Ready nobody has written yet; no condition ever says it."""

OTHER_REASON = "Other"
"""What an object is counted under whose Ready has a reason that is not among ours: hosts say what they like."""


def counted_as(reason: str, known: type[StrEnum]) -> str:
    """Return what a reason is counted under: one of few, whatever is said."""
    if not reason:
        return NO_REASON
    return reason if reason in known.__members__.values() else OTHER_REASON


class GuestReason(StrEnum):
    """Reasons of a Guest's conditions."""

    # ImageResolved
    IMAGE_RESOLVED = "ImageResolved"  # the Image exists, is Ready, and may be used from here
    IMAGE_NOT_FOUND = "ImageNotFound"  # there is no Image of that name
    IMAGE_NOT_SHARED = "ImageNotShared"  # another namespace has no Image of that name, or does not share it
    IMAGE_NOT_READY = "ImageNotReady"  # the image server still reads it
    IMAGE_FAILED = "ImageFailed"  # the Image itself says what is wrong
    IMAGE_LARGER_THAN_DISK = "ImageLargerThanDisk"  # the disk that was asked for is smaller than the image's
    # Scheduled
    SCHEDULED = "Scheduled"  # a host was chosen
    FLAVOR_NOT_FOUND = "FlavorNotFound"  # there is no Flavor of that name
    NO_HOST_FITS = "NoHostFits"  # the message counts hosts by the first rule that each fails
    REVIVAL_WAITS = (
        "RevivalWaits"  # the object was made anew; what its host holds of the guest is not known yet
    )
    REVIVAL_FAILED = "RevivalFailed"  # what its host holds does not fit what others hold; the guest runs on
    # AddressesAssigned
    ADDRESSES_ASSIGNED = "AddressesAssigned"  # every interface has its addresses
    POOL_NOT_FOUND = "PoolNotFound"  # there is no IPPool of that name, or none with these labels
    POOL_UNUSABLE = "PoolUnusable"  # the IPPool itself says what is wrong
    POOL_EXHAUSTED = "PoolExhausted"  # guests wait in order for the next free address
    POOL_LIMIT_REACHED = "PoolLimitReached"  # the namespace holds as many of its addresses as it may
    POOLS_OF_ONE_FAMILY = "PoolsOfOneFamily"  # one interface asks for two IPv4 or two IPv6 addresses
    POOLS_OF_TWO_VLANS = "PoolsOfTwoVlans"  # one interface asks for addresses of two VLANs
    ADDRESS_OUTSIDE_POOL = "AddressOutsidePool"  # the pool does not give the address that was asked for
    ADDRESS_RESERVED = "AddressReserved"  # the pool keeps that address for another guest
    ADDRESS_TAKEN = "AddressTaken"  # another guest holds the fixed address, or it rests
    MAC_IN_USE = "MacInUse"  # another guest has it in each cluster where a host would fit
    POOL_NOT_SERVING_CLUSTER = "PoolNotServingCluster"  # no pool asked for serves the cluster asked for
    # Ready: before the host has it
    PENDING = "Pending"  # its first steps are not done; the other conditions tell which
    USER_DATA_NOT_FOUND = "UserDataNotFound"  # the Secret, or its key `userData`, is missing
    USER_DATA_TOO_LARGE = "UserDataTooLarge"  # user data is larger than what a guest can be given
    WAITING_FOR_HOST = "WaitingForHost"  # ordered; the host has not answered yet
    HOST_UNREACHABLE = "HostUnreachable"  # its host is not heard; it is started nowhere else
    HOST_LOST = "HostLost"  # a person said that its host never returns
    DESTROYED_SINCE = (
        "DestroyedSince"  # the order to destroy it came after the moment that the store was put back to
    )
    # Ready: steps and states on the host
    ACCEPTED = "Accepted"  # its host promised to run it
    STREAMING = "Streaming"  # its image arrives, as far as it needs it to start
    PREPARING_DISK = "PreparingDisk"  # its disk and its seed are made
    STARTING = "Starting"  # its machine is started
    RUNNING = "Running"  # its machine runs, and its readiness probe succeeds where it has one
    NOT_ANSWERING = "NotAnswering"  # its machine runs, and its readiness probe does not succeed
    STOPPING = "Stopping"  # it is asked to power off
    REBOOTING = "Rebooting"  # by a GuestOperation
    PAUSED = "Paused"  # by a GuestOperation, until another one resumes it
    STOPPED = "Stopped"  # it is off, as its `power` wants
    STOPPED_AT_HOST = (
        "StoppedAtHost"  # a person stopped it at its host; off until started there, or an order changes power
    )
    WAITING_FOR_ORDERS = "WaitingForOrders"  # off, and started only once newer orders were looked for
    SUPERSEDED = "Superseded"  # it lives elsewhere by a newer binding; its disk is kept here
    COMPLETED = "Completed"  # ended by itself and its restart policy lets it rest
    CRASHED = "Crashed"  # its machine failed, or was ended or paused at the host; under restartPolicy Never it rests
    IMAGE_DOWNLOAD_FAILED = "ImageDownloadFailed"  # its host cannot fetch the image; it tries again
    IMAGE_DIGEST_MISMATCH = "ImageDigestMismatch"  # the bytes that came are not those of the digest
    IMAGE_UNREADABLE = "ImageUnreadable"  # the image on the host is no image of its format
    IMAGE_CHUNK_MISMATCH = (
        "ImageChunkMismatch"  # a part of the image is not what its manifest says: the guest is paused
    )
    HOST_DISK_FULL = "HostDiskFull"  # the host has no room for its image, its disk, or the agent's database
    DISK_MISSING = "DiskMissing"  # it was built, and its disk is gone: no empty one is made in its place
    DISK_FAILED = "DiskFailed"  # its machine is paused: a read or a write of its disk fails again and again
    START_FAILED = "StartFailed"  # the hypervisor does not start its machine
    DRIVER_FAILED = "DriverFailed"  # the hypervisor failed otherwise; the message tells how
    # Ready: refusals by the host
    INSUFFICIENT_CAPACITY = "InsufficientCapacity"  # the host has promised too much to others
    EMULATION_NOT_ALLOWED = (
        "EmulationNotAllowed"  # KVM does not work there, and its Host does not allow emulation
    )
    ADDRESS_IN_USE = "AddressInUse"  # another machine on the wire answers for its address
    BRIDGE_MISSING = "BridgeMissing"  # the host has no bridge of the Cluster's name
    NETWORK_FAILED = (
        "NetworkFailed"  # the host cannot set its bridge, packet filter or DHCP server, or ask its wire
    )
    ORDER_INVALID = (
        "OrderInvalid"  # its order is not signed by a key that the host trusts, or not for that host
    )
    ORDER_TOO_LARGE = "OrderTooLarge"  # annotations and user data do not fit into an Assignment
    # Ready: on the way out
    DELETING = "Deleting"  # its host destroys it
    DELETION_WAITS_FOR_HOST = "DeletionWaitsForHost"  # its host is not heard; the order waits
    DESTROYED = "Destroyed"  # it is gone, and its host keeps a tombstone
    FORGOTTEN_AT_HOST = "ForgottenAtHost"  # a person took it off its host; its files were set aside there


class OperationKind(StrEnum):
    """What can be done to a guest once: `GuestOperation.spec.operation`."""

    REBOOT = "Reboot"  # it powers itself off within the grace of a stop, and is started
    HARD_REBOOT = "HardReboot"  # its power is taken, and it is started
    PAUSE = "Pause"  # its processors stand still; its memory stays
    RESUME = "Resume"


class OperationPhase(StrEnum):
    """Where a GuestOperation is in its life."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing of it changes any more."""
        return self in (OperationPhase.SUCCEEDED, OperationPhase.FAILED)


class OperationStep(StrEnum):
    """Steps of a GuestOperation, in their order."""

    ACCEPTED = "Accepted"  # its guest is known
    ORDERED = "Ordered"  # it is in the order for the guest's host
    STARTED = "Started"
    FINISHED = "Finished"


class OperationReason(StrEnum):
    """Reasons of a GuestOperation's Ready, beside those that drivers give."""

    PENDING = "Pending"  # nothing was done yet
    WAITS_ITS_TURN = "WaitsItsTurn"  # an older operation of the same guest is not over
    WAITS_FOR_GUEST = "WaitsForGuest"  # the guest's machine is not up yet, or its host is not heard
    ORDERED = "Ordered"  # its host has not begun
    RUNNING = "Running"  # its host is at it
    SUCCEEDED = "Succeeded"  # it was done
    GUEST_NOT_FOUND = "GuestNotFound"  # there is no Guest of that name
    GUEST_DELETED = "GuestDeleted"  # its guest was deleted meanwhile
    GUEST_GONE = "GuestGone"  # its guest was taken off its host, or destroyed there
    GUEST_STOPPED = "GuestStopped"  # its power is Stopped
    GUEST_NOT_RUNNING = "GuestNotRunning"  # its machine was not up in time, or ended meanwhile
    HOST_LOST = "HostLost"  # a person said that the guest's host never returns
    HYPERVISOR_AWAY = "HypervisorAway"  # the host's hypervisor did not answer for too long
    OPERATION_UNKNOWN = "OperationUnknown"  # to the host's agent: it is older than the operator


class HostReason(StrEnum):
    """Reasons of a Host's Ready."""

    READY = "Ready"  # its agent is heard, and can run guests
    NEVER_REPORTED = "NeverReported"  # no agent has joined as this host
    SILENT = "Silent"  # it was not heard for some time; its guests may run
    UNHEARD = "Unheard"  # not heard, but neither are most others, so none counts as silent
    LOST = "Lost"  # a person said that it never returns
    CLUSTER_NOT_FOUND = "ClusterNotFound"  # there is no Cluster of that name
    EMULATION_NOT_ALLOWED = (
        "EmulationNotAllowed"  # KVM does not work there, and the Host does not allow emulation
    )
    AGENT_NOT_READY = "AgentNotReady"  # its agent is heard, and says why it cannot run guests
    WAITS_FOR_ASSIGNMENTS = "WaitsForAssignments"  # deleted, but still holds guests


class MaintenanceReason(StrEnum):
    """Reasons of a Host's Maintenance."""

    GUESTS_REMAIN = "GuestsRemain"  # guests are bound to it, or may still be on its disks
    EMPTY = "Empty"  # no guest is left, and none is on its way


class ImageReason(StrEnum):
    """Reasons of an Image's Ready."""

    READY = "Ready"  # it was read whole, or its head by its manifest, and guests may use it
    PREPARING = "Preparing"  # the image server reads it
    NOT_FOUND = "NotFound"  # its source says that there is nothing
    DIGEST_MISMATCH = "DigestMismatch"  # the bytes are not those of the digest
    FORMAT_MISMATCH = "FormatMismatch"  # the bytes are of another format than it says
    NOT_AN_IMAGE = "NotAnImage"  # the bytes are no disk image
    UNSAFE_IMAGE = (
        "UnsafeImage"  # a backing file, an external data file, encryption, snapshots, unknown features
    )
    TOO_LARGE = "TooLarge"  # larger than the image server takes
    COMPRESSION_INVALID = "CompressionInvalid"  # damaged, cut short, or followed by something else
    STORE_FULL = "StoreFull"  # the image server has no room to unpack it
    STORE_FAILED = "StoreFailed"  # the image server cannot write what it unpacks
    SOURCE_REFUSED = "SourceRefused"  # http where it is not allowed, a path outside the directory
    SOURCE_UNREACHABLE = "SourceUnreachable"  # its source does not answer
    CREDENTIALS_UNUSABLE = "CredentialsUnusable"  # the Secret of its source is missing, wrong, or not taken
    SERVER_UNREACHABLE = "ServerUnreachable"  # the image server itself does not answer
    GUESTS_REMAIN = "GuestsRemain"  # it is deleted, and guests that are bound to it are still there


WRONG_CONTENT = frozenset(
    {
        ImageReason.DIGEST_MISMATCH,
        ImageReason.FORMAT_MISMATCH,
        ImageReason.NOT_AN_IMAGE,
        ImageReason.UNSAFE_IMAGE,
        ImageReason.TOO_LARGE,
        ImageReason.COMPRESSION_INVALID,
    }
)
"""Reasons that speak of the bytes themselves. With any other reason the source was not read."""


class PoolReason(StrEnum):
    """Reasons of an IPPool's Ready and Exhausted, and of a Cluster's Ready."""

    READY = "Ready"  # it is valid, and used
    INVALID = "Invalid"  # the message says what contradicts what
    OVERLAPS = "Overlaps"  # it or an older pool of its space, or Cluster and VLAN, gives what the other gives or keeps
    DELETED = "Deleted"  # it is being deleted, and gives no address anew
    ADDRESSES_REMAIN = "AddressesRemain"  # of InUse: guests hold addresses of it
    ADDRESSES_OUTSIDE = "AddressesOutside"  # guests hold addresses that it would not give again
    NO_ADDRESS_FREE = "NoAddressFree"  # of Exhausted: guests that ask for one wait
    ADDRESSES_FREE = "AddressesFree"  # of Exhausted, while it is False
    NO_HOST_READY = "NoHostReady"  # of a Cluster: none of its hosts is Ready
