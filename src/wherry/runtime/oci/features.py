"""What this runtime can do, as the OCI's ``features`` document says it (runtime-spec, features.md)."""

from __future__ import annotations

from wherry import __version__
from wherry.linux.capabilities import NAMES
from wherry.linux.mounts import ATTRIBUTES, CLEAR, PROPAGATION, SET
from wherry.runtime.oci.defaults import VERSION

NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "uts")


def features() -> dict[str, object]:
    """The document."""
    propagation = [prefix + name for prefix in ("", "r") for name in PROPAGATION]
    recursive = [f"r{name}" for name in ATTRIBUTES]
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": VERSION,
        "hooks": [],
        "mountOptions": sorted({*SET, *CLEAR, *propagation, *recursive}),
        "linux": {
            "namespaces": list(NAMESPACES),
            "capabilities": list(NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True},
            "seccomp": {"enabled": True},
            "apparmor": {"enabled": True},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": False}},
        },
        "annotations": {"io.wherry.version": __version__},
        "potentiallyUnsafeConfigAnnotations": [],
    }
