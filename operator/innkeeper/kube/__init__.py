"""The only code that talks to the API server: client, informer, queue, Lease, coalesced statuses, one tree of errors."""
