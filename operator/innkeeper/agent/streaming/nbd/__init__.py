"""A read-only NBD server: fixed newstyle negotiation, structured replies, block status. Knows nothing of images.

The format is that of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md (read in its version of 2024).
"""
