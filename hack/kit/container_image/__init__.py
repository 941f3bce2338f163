"""The container images, built from the Dockerfile by buildah: no Docker, no registry, no daemon.

`base` makes the Debian that they stand on, `builder` runs buildah with a store of its own in the cache, `images` ties
both together and writes the archives.
"""
