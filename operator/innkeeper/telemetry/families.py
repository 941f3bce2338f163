"""Every metric of every process, each defined once: name, type, help, labels and buckets. Only data.

Names and units follow Prometheus: base units, `_seconds`, `_bytes`, and `_total`, which counters get where they are
written out. A label is of known values, or says what keeps them few: never a name that users choose. The reference page
`docs/reference/metrics.md` is made from here.
"""

from innkeeper.domain.reasons import (
    NO_REASON,
    OTHER_REASON,
    GuestReason,
    HostReason,
    ImageReason,
    OperationKind,
)
from innkeeper.kube.relisting import Way
from innkeeper.telemetry.definition import (
    CounterFamily,
    Family,
    GaugeFamily,
    HistogramFamily,
    Process,
    bounded,
    one_of,
)

_ALL = tuple(Process)
_OPERATOR, _IMAGES, _AGENT = (Process.OPERATOR,), (Process.IMAGES,), (Process.AGENT,)

_WATCHED = bounded("kind", "one of the kinds that the operator watches, in the plural")
_GUEST_REASON = one_of("reason", (*GuestReason, NO_REASON, OTHER_REASON))
_HANDLER = bounded("handler", "one of the server's endpoints, or `none` for all other paths")
_CODE = bounded("code", "an HTTP status")
_QUEUE = one_of("queue", ("guests", "hosts", "agent"))

# Every process

BUILD_INFO = GaugeFamily(
    name="innkeeper_build_info",
    help="1, with the version as a label.",
    labels=(
        one_of("process", Process),
        bounded("version", "one in each process"),
        bounded("python", "one in each process"),
    ),
    told_by=_ALL,
)
API_WRITES = CounterFamily(
    name="innkeeper_api_writes",
    help="Writes to the API server, by kind, verb and what became of them; what kopf writes by itself is not among them.",
    labels=(
        bounded(
            "kind", "one of the kinds that are written, in the plural, `/status` behind it for that part"
        ),
        one_of("verb", ("create", "patch", "replace", "delete")),
        one_of("outcome", ("done", "conflict", "refused", "throttled", "failed")),
    ),
    told_by=_ALL,
)
CERTIFICATE_EXPIRY = GaugeFamily(
    name="innkeeper_certificate_expiry_timestamp_seconds",
    help="When the first certificate of a file that this process uses ends, as a Unix time; 0: it cannot be read.",
    labels=(one_of("use", ("query", "hosts-ca", "hosts", "images-ca", "images", "host-api", "host-api-ca")),),
    told_by=_ALL,
)
QUEUE_DEPTH = GaugeFamily(
    name="innkeeper_queue_depth",
    help="Keys that wait for a worker now; those that are to be looked at later are not among them.",
    labels=(_QUEUE,),
    told_by=(Process.OPERATOR, Process.AGENT),
)
QUEUE_OLDEST_AGE = GaugeFamily(
    name="innkeeper_queue_oldest_age_seconds",
    help="For how long the key has waited that waits for a worker for longest; 0 where none does.",
    labels=(_QUEUE,),
    told_by=(Process.OPERATOR, Process.AGENT),
)

# The operator: what it watches and keeps

WATCH_AGE = GaugeFamily(
    name="innkeeper_watch_age_seconds",
    help="Seconds since the last event, bookmark or list of a watch.",
    labels=(_WATCHED,),
    told_by=_OPERATOR,
)
WATCH_SYNCED = GaugeFamily(
    name="innkeeper_watch_synced",
    help="1 once the first list of a kind is complete.",
    labels=(_WATCHED,),
    told_by=_OPERATOR,
)
WATCH_STARTS = CounterFamily(
    name="innkeeper_watch_starts",
    help="How often the objects of a kind became known, by way: snapshot, metadata or list.",
    labels=(_WATCHED, one_of("way", Way)),
    told_by=_OPERATOR,
)
WATCH_CHANGES_NOT_TAKEN = GaugeFamily(
    name="innkeeper_watch_changes_not_taken",
    help="Objects whose last change could not be taken: the operator knows an older state of each. Its log names them.",
    labels=(_WATCHED,),
    told_by=_OPERATOR,
)
WATCHED_OBJECTS = GaugeFamily(
    name="innkeeper_watched_objects",
    help="Objects of a kind that are known.",
    labels=(_WATCHED,),
    told_by=_OPERATOR,
)
SNAPSHOT_LOADS = CounterFamily(
    name="innkeeper_snapshot_loads",
    help="Snapshots that were looked at, by outcome: used, or why not.",
    labels=(
        one_of(
            "outcome",
            ("used", "absent", "unreadable", "damaged", "other_form", "other_store", "other_history"),
        ),
    ),
    told_by=_OPERATOR,
)
SNAPSHOT_WRITE_FAILURES = CounterFamily(
    name="innkeeper_snapshot_write_failures",
    help="Snapshots that could not be written.",
    told_by=_OPERATOR,
)
SNAPSHOT_BYTES = GaugeFamily(
    name="innkeeper_snapshot_bytes", help="Size of the last snapshot.", told_by=_OPERATOR
)
SNAPSHOT_WRITE = GaugeFamily(
    name="innkeeper_snapshot_write_seconds",
    help="How long the last snapshot took to write.",
    told_by=_OPERATOR,
)
SNAPSHOT_TIMESTAMP = GaugeFamily(
    name="innkeeper_snapshot_timestamp_seconds",
    help="When the last snapshot was written, as a Unix time.",
    told_by=_OPERATOR,
)

# The operator: queries, what hosts hold, rebuilding

QUERY = HistogramFamily(
    name="innkeeper_query_seconds",
    help="How long an answer took, by the pattern of the path below the API's version.",
    labels=(bounded("path", "one of the patterns that are served, `discovery`, or `other`"),),
    buckets=(1e-3, 5e-3, 2e-2, 1e-1, 5e-1, 2),
    told_by=_OPERATOR,
)
QUERIES = CounterFamily(
    name="innkeeper_queries",
    help="Answers, by path and HTTP status.",
    labels=(bounded("path", "one of the patterns that are served, `discovery`, or `other`"), _CODE),
    told_by=_OPERATOR,
)
HOST_RECORD_PULLS = CounterFamily(
    name="innkeeper_host_record_pulls",
    help="How often a host was asked what it holds, by outcome: events, snapshot or failed.",
    labels=(one_of("outcome", ("events", "snapshot", "failed")),),
    told_by=_OPERATOR,
)
HISTORY_STEPS = CounterFamily(
    name="innkeeper_history_steps",
    help="Steps on hosts worth an Event, by outcome: told, or known (told before).",
    labels=(one_of("outcome", ("told", "known")),),
    told_by=_OPERATOR,
)
GUEST_OPERATIONS = CounterFamily(
    name="innkeeper_guest_operations",
    help="GuestOperations that are over, by what was asked for and how it ended.",
    labels=(one_of("operation", OperationKind), one_of("outcome", ("Succeeded", "Failed"))),
    told_by=_OPERATOR,
)
HOST_RECORD_FOREIGN_ORDERS = CounterFamily(
    name="innkeeper_host_record_foreign_orders",
    help="Orders that hosts showed and that our key did not sign; they count for nothing.",
    told_by=_OPERATOR,
)
HOST_RECORD_OLDEST_AGE = GaugeFamily(
    name="innkeeper_host_record_oldest_age_seconds",
    help="Seconds since the host was heard whose record is the oldest.",
    told_by=_OPERATOR,
)
HOSTS_UNREAD = GaugeFamily(
    name="innkeeper_hosts_unread",
    help="Hosts of which it is not known what they hold, or that did not answer the last time.",
    told_by=_OPERATOR,
)
ORPHANS = GaugeFamily(
    name="innkeeper_orphans", help="Guests that hosts hold and that have no Guest object.", told_by=_OPERATOR
)
REBUILD_WAITS = GaugeFamily(
    name="innkeeper_rebuild_waits",
    help="1 while this process does not lead, because hosts may hold guests that the API server does not know.",
    told_by=_OPERATOR,
)
REBUILD_HOSTS_UNHEARD = GaugeFamily(
    name="innkeeper_rebuild_hosts_unheard",
    help="Hosts that have to be heard, or declared lost, before this process leads.",
    told_by=_OPERATOR,
)
REBUILD_FINDINGS = CounterFamily(
    name="innkeeper_rebuild_findings",
    help="What was found while hosts were heard, by kind.",
    labels=(bounded("kind", "one of the kinds of findings"),),
    told_by=_OPERATOR,
)

# The operator that leads: hosts, guests, images, addresses

LEADER = GaugeFamily(
    name="innkeeper_leader", help="1 while this process holds the Lease and works.", told_by=_OPERATOR
)
LEADER_LEASE_AGE = GaugeFamily(
    name="innkeeper_leader_lease_age_seconds",
    help="Seconds since this process renewed the leader's Lease; 0 while it does not hold it.",
    told_by=_OPERATOR,
)
HOSTS = GaugeFamily(
    name="innkeeper_hosts",
    help="Hosts by the reason of their Ready condition; told by the leader only.",
    labels=(one_of("reason", (*HostReason, NO_REASON, OTHER_REASON)),),
    told_by=_OPERATOR,
)
HOSTS_SILENCE_HELD_BACK = GaugeFamily(
    name="innkeeper_hosts_silence_held_back",
    help="Hosts that are not heard but do not count as silent, because too many fell silent at once.",
    told_by=_OPERATOR,
)
HEARTBEAT_OLDEST_AGE = GaugeFamily(
    name="innkeeper_host_lease_oldest_age_seconds",
    help="For how long of listening the host was not heard that is quiet for longest, silent ones left out.",
    told_by=_OPERATOR,
)
AGENTS = GaugeFamily(
    name="innkeeper_agents",
    help="Hosts by the version of their agent beside the operator's own: same, other, or unknown.",
    labels=(one_of("version", ("same", "other", "unknown")),),
    told_by=_OPERATOR,
)
GUESTS = GaugeFamily(
    name="innkeeper_guests",
    help="Guests by the reason of their Ready condition; told by the leader only.",
    labels=(_GUEST_REASON,),
    told_by=_OPERATOR,
)
GUESTS_STALLED = GaugeFamily(
    name="innkeeper_guests_stalled",
    help="Guests that cannot go on before somebody changes something (Stalled), by why.",
    labels=(_GUEST_REASON,),
    told_by=_OPERATOR,
)
GUEST_UNREADY = GaugeFamily(
    name="innkeeper_guest_unready_seconds",
    help="For how long the guest has not been Ready that has not been for longest, by the reason of its Ready; one that "
    "has its first host counts from its binding at the earliest. Guests that wait for a Host that is Silent are left "
    "out.",
    labels=(_GUEST_REASON,),
    told_by=_OPERATOR,
)
GUESTS_WAITING_FOR_ROOM = GaugeFamily(
    name="innkeeper_guests_waiting_for_room",
    help="Guests that no host fits, until something changes that could help them.",
    told_by=_OPERATOR,
)
SCHEDULING_DECISION = HistogramFamily(
    name="innkeeper_scheduling_decision_seconds",
    help="How long the decision for one guest took, by whether a host was found.",
    labels=(one_of("outcome", ("placed", "no_host_fits")),),
    buckets=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    told_by=_OPERATOR,
)
BIND = HistogramFamily(
    name="innkeeper_bind_seconds",
    help="How long a guest took from its turn in the queue to a written order: decision, claim, binding, order.",
    buckets=(5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1, 2, 5),
    told_by=_OPERATOR,
)
SUBSET_DRIFT = CounterFamily(
    name="innkeeper_subset_drift",
    help="What a recount of the subset set right, by kind.",
    labels=(one_of("kind", ("Promise", "Host", "Group")),),
    told_by=_OPERATOR,
)
ADDRESS_FINDINGS = CounterFamily(
    name="innkeeper_address_findings",
    help="What the sweeper set right: claims that no guest stands behind, bound guests without their claim. Objects that "
    "it makes nothing of are `NotUnderstood`: counted in each sweep, and left as they are.",
    labels=(one_of("finding", ("ClaimWithoutGuest", "GuestWithoutClaim", "NotUnderstood")),),
    told_by=_OPERATOR,
)
POOL_ADDRESSES = GaugeFamily(
    name="innkeeper_pool_addresses",
    help="Addresses of an IPPool by state, as its status has them; `outside` are used ones that it would not give again.",
    labels=(
        bounded("pool", "the IPPools that there are, which admins make"),
        one_of("state", ("total", "free", "used", "quarantined", "outside")),
    ),
    told_by=_OPERATOR,
)
IMAGES = GaugeFamily(
    name="innkeeper_images",
    help="Images by the reason of their Ready condition; told by the leader only.",
    labels=(one_of("reason", (*ImageReason, NO_REASON, OTHER_REASON)),),
    told_by=_OPERATOR,
)
IMAGES_SOURCE_UNREACHABLE = GaugeFamily(
    name="innkeeper_images_source_unreachable",
    help="Images that are Ready and whose source cannot be looked at now.",
    told_by=_OPERATOR,
)
IMAGES_UNANSWERED = GaugeFamily(
    name="innkeeper_images_unanswered",
    help="Images about which the image server gave no answer when it was asked last; told by the leader only.",
    told_by=_OPERATOR,
)
IMAGE_INSPECTIONS = CounterFamily(
    name="innkeeper_image_inspections",
    help="Answers of the image server.",
    labels=(one_of("state", ("Preparing", "Ready", "Failed")),),
    told_by=_OPERATOR,
)
KOPF_STARTS = CounterFamily(
    name="innkeeper_kopf_starts",
    help="How often the handlers of the rare kinds were started.",
    told_by=_OPERATOR,
)

# The image server

IMAGES_SENT_BYTES = CounterFamily(
    name="innkeeper_images_sent_bytes",
    help="Image bytes on the wire to hosts, by where they were read: http, directory, or the store of unpacked images.",
    labels=(one_of("source", ("http", "directory", "store")),),
    told_by=_IMAGES,
)
IMAGES_STORE_LOOKUPS = CounterFamily(
    name="innkeeper_images_store_lookups",
    help="Requests for a compressed image, by whether its unpacked bytes lay in the store (hit) or not (miss).",
    labels=(one_of("outcome", ("hit", "miss")),),
    told_by=_IMAGES,
)
IMAGES_STREAMS = GaugeFamily(
    name="innkeeper_images_streams",
    help="Streams that are open now, manifests that are being sent included.",
    told_by=_IMAGES,
)
IMAGES_STORE_BYTES = GaugeFamily(
    name="innkeeper_images_store_bytes",
    help="Bytes that unpacked images take on the disk.",
    told_by=_IMAGES,
)
IMAGES_REQUESTS = CounterFamily(
    name="innkeeper_images_requests",
    help="Requests by endpoint and status code.",
    labels=(_HANDLER, _CODE),
    told_by=_IMAGES,
)

# The agent

AGENT_BUILD = HistogramFamily(
    name="innkeeper_agent_build_seconds",
    help="Time of a build, or of a later start, by where it was spent: agent (its own), hypervisor, image, network.",
    labels=(one_of("where", ("agent", "hypervisor", "image", "network")),),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    told_by=_AGENT,
)
AGENT_BUILD_STEP = HistogramFamily(
    name="innkeeper_agent_build_step_seconds",
    help="How long a step of a build, or of a later start, took until it was done; a step that failed is not counted.",
    labels=(
        one_of("step", ("own_disk", "fetch", "overlay", "rest_on", "first_boot", "plug", "domain", "start")),
    ),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    told_by=_AGENT,
)
AGENT_ORDERS = CounterFamily(
    name="innkeeper_agent_orders",
    help="Orders that were read, by what they meant.",
    labels=(
        one_of(
            "meaning",
            (
                *("admit", "update", "same", "superseded", "refused_before", "lives_elsewhere"),
                *("destroy", "destroyed_before", "invalid"),
            ),
        ),
    ),
    told_by=_AGENT,
)
AGENT_JOB_FAILURES = CounterFamily(
    name="innkeeper_agent_job_failures",
    help="Failed jobs by kind and reason.",
    labels=(
        one_of("kind", ("build", "start", "resume", "stop", "destroy", "forget", "operate")),
        bounded("reason", "one of the reasons of a Guest's Ready or of a GuestOperation's"),
    ),
    told_by=_AGENT,
)
AGENT_RESTARTS = CounterFamily(
    name="innkeeper_agent_restarts",
    help="Guests started again after they ended by themselves.",
    told_by=_AGENT,
)
AGENT_GUESTS_CRASHING = GaugeFamily(
    name="innkeeper_agent_guests_crashing",
    help="Guests that ended, or did not start again, six times or more without ten minutes of running in between.",
    told_by=_AGENT,
)
AGENT_API_ANSWERS = CounterFamily(
    name="innkeeper_agent_api_answers",
    help="Answers of the host API by endpoint and HTTP status.",
    labels=(_HANDLER, _CODE),
    told_by=_AGENT,
)
AGENT_API_REFUSED = CounterFamily(
    name="innkeeper_agent_api_refused",
    help="Connections to the host API that were closed before a request: Handshake, TooMany.",
    labels=(one_of("why", ("Handshake", "TooMany")),),
    told_by=_AGENT,
)
AGENT_GUESTS = GaugeFamily(
    name="innkeeper_agent_guests", help="Guests that this host promised to run.", told_by=_AGENT
)
AGENT_GUEST_STATES = GaugeFamily(
    name="innkeeper_agent_guest_states",
    help="Guests that this host holds, by the reason of Ready that it reports.",
    labels=(_GUEST_REASON,),
    told_by=_AGENT,
)
AGENT_DOMAINS_RUNNING = GaugeFamily(
    name="innkeeper_agent_domains_running", help="Machines of ours that live now.", told_by=_AGENT
)
AGENT_LEASE_AGE = GaugeFamily(
    name="innkeeper_agent_lease_age_seconds",
    help="Seconds since this host's Lease was renewed, or since the start of the agent where it never was.",
    told_by=_AGENT,
)
AGENT_IMAGE_FETCHES = CounterFamily(
    name="innkeeper_agent_image_fetches",
    help="Images that builds asked for, by how they were found: here (a hit of the cache), copied, or streamed.",
    labels=(one_of("found", ("here", "copied", "streamed")),),
    told_by=_AGENT,
)
AGENT_IMAGE_BYTES = CounterFamily(
    name="innkeeper_agent_image_bytes",
    help="Image bytes brought in, unpacked, by source: the image server, or other images of this host (no traffic).",
    labels=(one_of("source", ("server", "host")),),
    told_by=_AGENT,
)
AGENT_TOKEN_EXPIRES = GaugeFamily(
    name="innkeeper_agent_token_expires_timestamp_seconds",
    help="When this host's token towards the API server ends, as a Unix time; 0 while there is none.",
    told_by=_AGENT,
)
AGENT_TOKEN_RENEWAL_DUE = GaugeFamily(
    name="innkeeper_agent_token_renewal_due_timestamp_seconds",
    help="When the agent renews this token, as a Unix time; 0 while there is none, and for one that others renew.",
    told_by=_AGENT,
)
AGENT_TOKEN_RENEWALS = CounterFamily(
    name="innkeeper_agent_token_renewals",
    help="Tokens that were asked for, by outcome: Renewed, or the reason of the failure.",
    labels=(bounded("outcome", "Renewed, or one of the reasons of failures in the agent's code"),),
    told_by=_AGENT,
)
AGENT_BACKUPS = CounterFamily(
    name="innkeeper_agent_backups",
    help="Backups of the store, by what became of them: taken, failed.",
    labels=(one_of("outcome", ("taken", "failed")),),
    told_by=_AGENT,
)
AGENT_BACKUP_FAILING = GaugeFamily(
    name="innkeeper_agent_backup_failing",
    help="Whether the last try to back up the store failed, or has no end after 15 minutes: 1 or 0.",
    told_by=_AGENT,
)
AGENT_BACKUP_LAST_SUCCESS = GaugeFamily(
    name="innkeeper_agent_backup_last_success_timestamp_seconds",
    help="When the last backup was taken, in Unix time; 0: none by this process.",
    told_by=_AGENT,
)
MOST_GUESTS = 200  # that a host tells by name
AGENT_GUEST_FRAMES_DROPPED = CounterFamily(
    name="innkeeper_agent_guest_frames_dropped",
    help="Frames that a guest sent and the packet filter dropped, by what was not its own (mac, ipv4, ...).",
    labels=(
        bounded(
            "guest",
            f"the Guest IDs that this host holds, and of those the {MOST_GUESTS} with the most drops: no other "
            "process tells them, and a guest that is gone is gone from here",
        ),
        one_of("why", ("mac", "vlan", "arp", "ipv4", "ipv6", "nd", "ra", "dhcp", "other")),
    ),
    told_by=_AGENT,
)

ALL: tuple[Family, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Family))
"""Every family, in the order of this file."""
