"""Where kubelet, kube-proxy and the pause image come from.

The first two as the control plane's programs do: `KUBEBUILDER_ASSETS`, PATH, the cache, else built from Go modules. The
pause image is one small static program in an archive of one layer, compiled here: no registry is asked.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from kit import paths, steps
from kit.control_plane import programs as control_plane

MODULES = paths.SCRIPTS / "cluster.d"
KUBELET = "kubelet"
KUBE_PROXY = "kube-proxy"
PAUSE_TAG = "localhost/innkeeper-pause:1"
FROM_PACKAGES = ("containerd", "ctr", "runc", "gcc", "nft")


def find_or_build() -> dict[str, Path]:
    """Return the path of each program of the node, by its name; build those that are nowhere.

    Raises:
        StepError: when one has to be built and cannot be.
    """
    node = MODULES / "node"
    return control_plane.have(
        [control_plane.kubernetes_program(name, module=node) for name in (KUBELET, KUBE_PROXY)]
    )


def pause_archive(directory: Path) -> Path:
    """Compile the pause program into `directory` and return an archive with its image.

    Raises:
        StepError: when there is no C compiler.
    """
    program, archive = directory / "pause", directory / "pause.tar"
    steps.run(
        ["gcc", "-Os", "-static", "-s", "-o", program, MODULES / "pause.c"],
        doing="compiling the pause program",
    )
    layer = _tar({"pause": program.read_bytes()}, mode=0o755)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_TAG], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer, "config.json": config, "manifest.json": json.dumps(manifest).encode()}
    archive.write_bytes(_tar(files, mode=0o644))
    return archive


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
