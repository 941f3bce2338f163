"""The image server: inspects images for the operator and serves their bytes to hosts.

Hosts never hold the credentials of an image store and never talk to an origin: they ask this process, with
their own token, for a URL that is valid for minutes. The server decides nothing about guests and writes nothing
to the API server; which image a host may read comes from the Assignments in that host's namespace.
"""
