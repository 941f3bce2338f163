"""Innkeeper: virtual machines as Kubernetes resources.

The package holds the operator, the image server and the host agent. Its version is read from here by the build.
"""

__version__ = "0.1.0"
