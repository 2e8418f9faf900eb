"""Our configuration for another OCI runtime: with the parts that our own gets elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

INIT = "/sbin/docker-init"
"""Where the init program is in a container with ``--init``, as in Docker."""
VERSION = "1.0.2"
"""Of the specification: the oldest that has all we say, because crun up to 1.8 refuses later ones."""
RECURSIVE_READ_ONLY = "rro"
"""An option of mounts that only new runtimes know."""


def complete_spec(
    spec: dict[str, Any],
    *,
    seccomp: dict[str, object] | None = None,
    init: str = "",
    mount_options: Collection[str] = (),
) -> dict[str, Any]:
    """``spec`` with the filter, and with the program ``init`` (of the host) in front of the container's own.

    ``mount_options`` are those that the runtime says it knows. Without ``rro`` among them a read-only bind is not
    recursively so, as under Docker.
    """
    completed = {**spec, "ociVersion": VERSION, "linux": dict(spec["linux"]), "process": dict(spec["process"])}
    completed["mounts"] = [_known(mount, mount_options) for mount in spec["mounts"]]
    if seccomp is not None:
        completed["linux"]["seccomp"] = seccomp
    if init:
        completed["process"]["args"] = [INIT, "--", *spec["process"]["args"]]
        completed["mounts"].append(
            {"destination": INIT, "type": "bind", "source": init, "options": ["bind", "ro", "rprivate"]}
        )
    return completed


def uses(spec: dict[str, Any], option: str) -> bool:
    """Whether any mount has this option."""
    return any(option in (mount.get("options") or ()) for mount in spec["mounts"])


def _known(mount: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    options = mount.get("options") or []
    if RECURSIVE_READ_ONLY not in options or RECURSIVE_READ_ONLY in known:
        return mount
    return {**mount, "options": [option for option in options if option != RECURSIVE_READ_ONLY]}
