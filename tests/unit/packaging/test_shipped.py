"""What is shipped: both forms of the agent have the same packages of Python, and the lists of them name all."""

import re
import runpy

from kit import paths, supply_chain


def in_the_dockerfile() -> set[str]:
    """Return the lock files that images are built from; what builds them stays behind."""
    found = re.findall(r"--requirement requirements/(\S+)", (paths.CHECKOUT / "Dockerfile").read_text())
    return set(found) - {"build.txt"}


def test_every_package_of_the_images_is_listed_and_audited() -> None:
    assert in_the_dockerfile() == set(supply_chain.SHIPPED)


def test_the_debian_package_has_what_the_agents_image_has() -> None:
    """Backups to S3 among it; libvirt's binding is Debian's own."""
    locked = runpy.run_path(str(paths.SCRIPTS / "deb"), run_name="deb")["LOCKED"]
    assert {*locked, "libvirt.txt"} == in_the_dockerfile()
